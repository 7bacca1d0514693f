"""data.json: where the data of a run are, beside its config.json, so that what comes later takes the same.

    name            as --data has it, of a user's own file the file's name
    path            of the user's file or folder, absolute; "" where the data set is fetched by its name
    digest          of the data before --rotate, --tilt or --jitter changed them, see Dataset
    classes         their names
    preparation     what was done to a user's samples, see preparation.py; null where nothing is known

Nothing here decides a run's result: a file that has moved is named anew, and its digest says whether it is the same.
Runs of older versions have no such file: what their config.json says of the data stands for it.
"""
import json
from typing import NamedTuple

from ..errors import UserError
from ..files import read_bounded, strict_json, write_atomically
from ..preparation import as_text, from_text
from .checkpoint import LARGEST_CONFIG
from .folder import ORIGIN, read_description

CHANGES = ("rotate", "tilt", "jitter")   # fields that make other data of the data


class _Origin(NamedTuple):
    """See the module's docstring; the digest is "" where it is not known."""
    name: str
    path: str
    digest: str
    classes: tuple
    preparation: dict | None = None


def origin_of(config, dataset, place):
    """The _Origin of a run.  dataset: as it was before it was changed.  place: the file or the folder, or None."""
    return _Origin(config.data, str(place.absolute()) if place else "", dataset.digest, tuple(dataset.classes),
                  dataset.preparation)


def write_origin(folder, origin):
    """Writes data.json into a run folder, unless it is there and says the same.  Raises OSError."""
    content = (json.dumps(origin._asdict(), indent=2) + "\n").encode()
    path = folder / ORIGIN
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def read_origin(folder, sample_shape):
    """The _Origin of a run folder.  sample_shape: of one sample.  Raises UserError if it is damaged."""
    description, path = read_description(folder), folder / ORIGIN
    if not path.exists():
        changed = any(description.get(name) for name in CHANGES)
        return _Origin(str(description.get("data")), "", "" if changed else description["dataset"]["digest"],
                      tuple(description["dataset"]["classes"]))
    try:
        fields = strict_json(read_bounded(path, LARGEST_CONFIG))
        if set(fields) != set(_Origin._fields) or {type(fields[name]) for name in ("name", "path", "digest")} != {str}:
            raise ValueError("fields are missing or unknown")
        if fields["name"] != description.get("data") or fields["classes"] != description["dataset"]["classes"]:
            raise ValueError("it is of other data than the run")
        if fields["preparation"] is not None:
            from_text(as_text(fields["preparation"]), sample_shape)
        return _Origin(**{**fields, "classes": tuple(fields["classes"])})
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} cannot be used ({error}); remove it, and name the data with --data or --data-dir"
                        ) from None
