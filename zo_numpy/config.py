"""The configuration of a run: everything that decides its result, checked, with defaults, as JSON.

Two runs with equal configurations on equal data end in the same bits (INT8) wherever they are made.

A schedule is a list of values that share the epochs of the run in equal parts: epoch e of E (both from 0) uses entry
e * len(values) // E. `--p-zero 128,192,224` therefore means a third of the run each, however long it is.
"""
import dataclasses
from typing import NamedTuple

from . import __version__, models
from .errors import UserError
from .run_folder import CONFIG, FORMAT_VERSION, read_description


class Allowed(NamedTuple):
    """The values an option may take, and how to say so."""
    values: object
    text: str


SCHEDULES = {   # what may follow a schedule, by precision
    "int8": {
        "r_max": Allowed((1, 3, 7, 15, 31, 63), "2^k - 1 with k = 1..6: 1, 3, 7, 15, 31 or 63"),
        "p_zero": Allowed(range(256), "0..255, in 256ths"),
        "b_zo": Allowed(range(1, 7), "1..6 bits"),
        "b_bp": Allowed(range(1, 8), "1..7 bits"),
    },
}
CHOICES = {
    "model": tuple(models.MODELS),
    "data": ("mnist", "fashion-mnist", "mnist-subset"),
    "precision": tuple(SCHEDULES),
    "loss": ("integer", "coarse"),
    "tail_passes": ("second", "both"),
}
LARGEST_BATCH = 4096   # of the integer loss's proof against overflow


@dataclasses.dataclass(frozen=True)
class Config:
    """See the module's docstring; the command line's --help explains each field."""
    model: str = "lenet5"
    data: str = "mnist"
    precision: str = "int8"
    bp_tail: int = 2
    zo_frozen: bool = False
    epochs: int = 20
    batch_size: int = 64
    seed: int = 0
    validate: int = 0
    loss: str = "integer"
    tail_passes: str = "second"
    headroom: tuple = ()
    schedules: dict = dataclasses.field(default_factory=dict)

    def at(self, schedule, epoch):
        """The value of a schedule in an epoch, from 0."""
        values = self.schedules[schedule]
        return values[epoch * len(values) // self.epochs]


def check_integer(name, value, lowest, highest):
    option = "--" + name.replace("_", "-")
    if type(value) is not int or not lowest <= value <= highest:
        raise UserError(f"{option} {value}: choose a whole number from {lowest} to {highest}")


def make_config(given):
    """A checked Config from the options a user gave; what is missing takes its tuned default.

    given: {field or schedule name: value}; schedules and headroom as sequences of integers.
    Raises UserError naming the option and what it may be.
    """
    given = dict(given)
    for name, choices in CHOICES.items():
        value = given.get(name, getattr(Config, name))
        if value not in choices:
            raise UserError(f"--{name.replace('_', '-')} {value}: choose one of {', '.join(choices)}")
    model = models.MODELS[given.get("model", Config.model)]
    precision = given.get("precision", Config.precision)
    bp_tail = given.get("bp_tail", Config.bp_tail)
    check_integer("bp_tail", bp_tail, 0, models.longest_tail(model.layers))
    for name, highest in (("epochs", 10**6), ("batch_size", LARGEST_BATCH)):
        check_integer(name, given.get(name, getattr(Config, name)), 1, highest)
    check_integer("seed", given.get("seed", Config.seed), 0, 2**64 - 1)
    check_integer("validate", given.get("validate", Config.validate), 0, 10**9)
    frozen = given.get("zo_frozen", False)
    if type(frozen) is not bool:
        raise UserError(f"--zo-frozen {frozen}: it is true or false")
    if frozen and not bp_tail:
        raise UserError("--zo-frozen with --bp-tail 0 would train nothing: choose --bp-tail 1 or more")

    tuned = DEFAULTS[precision, bp_tail]
    schedules = {}
    for name, allowed in SCHEDULES[precision].items():
        values = tuple(given.pop(name, tuned[name]))
        wrong = [v for v in values if type(v) is not int or v not in allowed.values]
        if wrong or not values:
            raise UserError(f"--{name.replace('_', '-')} {wrong[0] if wrong else 'of nothing'}: "
                            f"choose {allowed.text}, or several separated by commas")
        schedules[name] = values
    headroom = tuple(given.pop("headroom", tuned["headroom"]))
    weights = models.weight_layers(model.layers)
    if len(headroom) != len(weights) or any(type(h) is not int or not 0 <= h <= 6 for h in headroom):
        raise UserError(f"--headroom {','.join(map(str, headroom))}: give {len(weights)} numbers from 0 to 6, one for "
                        f"each of {', '.join(layer.name for layer in weights)}")
    unknown = set(given) - {field.name for field in dataclasses.fields(Config)}
    if unknown:
        raise UserError(f"--{sorted(unknown)[0].replace('_', '-')} has no meaning with --precision {precision}")
    return Config(**given, headroom=headroom, schedules=schedules)


def describe(config, dataset):
    """The JSON object of a run's config.json: the configuration and the data it is trained on."""
    return {"format_version": FORMAT_VERSION, "zo_numpy": __version__, **dataclasses.asdict(config),
            "dataset": {"source": dataset.source, "complete": dataset.complete, "digest": dataset.digest,
                        "training_samples": len(dataset.train_labels) - config.validate,
                        "classes": list(dataset.classes)}}


def config_from_json(fields, name):
    """The Config a run folder holds, from its JSON object.  name: the file's, for messages.

    Raises UserError if it is not one: every field is there, since a default may not stand in for a lost one.
    """
    try:
        schedules = fields["schedules"]
        for found, wanted in ((set(fields), {field.name for field in dataclasses.fields(Config)}),
                              (set(schedules), set(SCHEDULES[fields["precision"]]))):
            if found != wanted:
                raise UserError(f"{', '.join(sorted(found ^ wanted))} missing or unknown")
        return make_config({**{key: value for key, value in fields.items() if key != "schedules"}, **schedules})
    except (UserError, TypeError, KeyError) as error:
        raise UserError(f"{name} is not the configuration of a run ({error}); choose another folder") from None


def read_config(path):
    """The Config of a run folder.  Raises UserError if it is not one."""
    description = read_description(path)
    for name in ("format_version", "zo_numpy", "dataset"):
        description.pop(name, None)
    return config_from_json(description, path / CONFIG)


# Tuned on --validate 5000 of MNIST, see experiments/README.md; never on a test set.
DEFAULTS = {
    ("int8", 0): dict(headroom=(1, 1, 1, 1, 1), r_max=(7,), p_zero=(128, 192, 224, 240), b_zo=(1,), b_bp=(1,)),
    ("int8", 1): dict(headroom=(1, 1, 1, 1, 2), r_max=(7,), p_zero=(128, 192, 224), b_zo=(1,), b_bp=(4, 3, 2, 1)),
    ("int8", 2): dict(headroom=(1, 1, 1, 2, 2), r_max=(7,), p_zero=(128, 192, 224), b_zo=(1,), b_bp=(4, 3, 2, 1)),
    ("int8", 3): dict(headroom=(1, 1, 2, 2, 2), r_max=(7,), p_zero=(128, 192, 224), b_zo=(1,), b_bp=(4, 3, 2, 1)),
}
