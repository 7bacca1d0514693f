"""A run's configuration as JSON: what its config.json holds, and how it is read again, also from older versions."""
import dataclasses

from .. import __version__
from ..errors import UserError
from .config import ADDED, POINT_FIELDS, SCHEDULES, Config, is_own, make_config, training_samples
from .folder import CONFIG, FORMAT_VERSION, read_description
from .network import described, takes_points

BESIDE_CONFIG = ("format_version", "zo_numpy", "dataset")   # what else a run's config.json holds


def as_json(config):
    """A Config as a JSON object."""
    def without_added(values):
        return {name: value for name, value in values.items() if name not in ADDED or value != ADDED[name]}

    fields = {**dataclasses.asdict(config), "layers": described(config.layers) or ()}
    return {**without_added({name: fields[name] for name in _json_fields(fields)}),
            "schedules": without_added(config.schedules)}


def with_added(options):
    """The options of an older version for make_config: what they leave out of ADDED means what it meant then."""
    names = {*_json_fields(options), *SCHEDULES[options.get("precision", Config.precision)]}
    return {**{name: value for name, value in ADDED.items() if name in names}, **options}


def describe(config, dataset):
    """The JSON object of a run's config.json: the configuration, and beside it version and data (BESIDE_CONFIG)."""
    return {"format_version": FORMAT_VERSION, "zo_numpy": __version__, **as_json(config),
            "dataset": {"source": dataset.source, "complete": dataset.complete, "digest": dataset.digest,
                        "training_samples": training_samples(config, dataset),
                        "classes": list(dataset.classes)}}


def config_from_json(fields, name):
    """The Config a run folder holds, from its JSON object.  name: the file's, for messages.

    Raises UserError if it is not one: every field but those of ADDED must be there, since a default may not replace a
    lost one.
    """
    try:
        schedules = fields["schedules"]
        for found, wanted in ((set(fields), set(_json_fields(fields))),
                              (set(schedules), set(SCHEDULES[fields["precision"]]))):
            if wrong := found ^ (wanted - (ADDED.keys() - found)):
                raise UserError(f"{', '.join(sorted(wrong))} missing or unknown")
        options = {**{name: value for name, value in fields.items() if name != "schedules"}, **schedules}
        config = make_config(with_added(options))
        if is_own(config.data) and not (config.input_shape or config.points):
            raise UserError("input_shape missing")
        return config
    except (UserError, TypeError, KeyError) as error:
        raise UserError(f"{name} is not the configuration of a run ({error}); choose another folder") from None


def read_config(path):
    """The Config of a run folder.  Raises UserError if it is not one."""
    description = read_description(path)
    for name in BESIDE_CONFIG:
        description.pop(name, None)
    return config_from_json(description, path / CONFIG)


def _json_fields(fields):
    """The names of the fields that config.json has, of which these are some. Networks on images have none of
    POINT_FIELDS, except `classes` on a user's own images."""
    kept = POINT_FIELDS if takes_points(fields) else ("classes",) if fields.get("input_shape") else ()
    left_out = set(POINT_FIELDS) - set(kept)
    return [field.name for field in dataclasses.fields(Config) if field.name not in left_out]
