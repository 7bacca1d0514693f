"""A run's checkpoint: its weights, and the numbers that it needs to go on.

A checkpoint seals what it counts. `seal` is a sha256 of all else in it and of config.json; of what config.json says of
the data only training_samples and classes, as the data themselves are compared with their digest when a run resumes.
`steps_sha256` is of the lines of steps.txt that the checkpoint counts. A folder in which any of them has changed is
refused. Checkpoints that have neither, as other programs and earlier versions write them, are read as they are.
"""
import hashlib
import io
import json

import numpy as np

from .. import npy
from ..errors import UserError, why
from ..files import read_bounded, strict_json, write_atomically

CHECKPOINT, CONFIG = "checkpoint.npz", "config.json"   # in a run's folder, see folder.py
SEAL, STEPS_SEAL = "seal", "steps_sha256"              # in a checkpoint
SEALED = ("training_samples", "classes")               # of what config.json says of the data
LARGEST_CONFIG = 1 << 22                               # bytes


def write_checkpoint(path, arrays, numbers, steps_digest=None):
    """Weights and numbers as an .npz whose bytes depend on them and on the config.json beside it, and on nothing else.

    steps_digest: the sha256 (bytes) of the steps.txt it counts, where there is one.
    """
    content = {**{"weight." + name: array for name, array in arrays.items()},
               **{name: _as_array(value) for name, value in numbers.items()}}
    if steps_digest:
        content[STEPS_SEAL] = np.frombuffer(steps_digest, np.uint8)
    packed = io.BytesIO()
    np.savez(packed, **content, **{SEAL: np.frombuffer(_seal_of(path, content), np.uint8)})
    write_atomically(path, packed.getvalue())


def read_checkpoint(path):
    """({name: weight array}, {name: number}) of a checkpoint.  Raises UserError if it is damaged."""
    mend = "the run cannot be read: train it again in another --out"
    content = read_npz(path, mend)
    seal = content.pop(SEAL, None)
    try:
        if seal is not None and seal.tobytes() != _seal_of(path, content):
            raise UserError(f"{path} or the {CONFIG} beside it is damaged: they are not as they were written; {mend}")
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise UserError(f"{path.with_name(CONFIG)} cannot be read ({why(error)}); {mend}") from None
    content.pop(STEPS_SEAL, None)
    arrays = {name[len("weight."):]: array for name, array in content.items() if name.startswith("weight.")}
    numbers = {name: array for name, array in content.items() if not name.startswith("weight.")}
    numbers = {name: _as_number(array) for name, array in numbers.items()}
    if None in numbers.values() or type(numbers.get("step")) is not int or numbers["step"] < 0:
        raise UserError(f"{path} is not a checkpoint of a run; {mend}")
    return arrays, numbers


def _seal_of(path, content):
    """The seal of a checkpoint: sha256 (bytes) of the config.json beside it and of its arrays, names and types too.

    content: {name: array} of all it holds but the seal, in order.
    Raises OSError or ValueError if config.json cannot be read.
    """
    config = path.with_name(CONFIG)
    description = strict_json(read_bounded(config, LARGEST_CONFIG)) if config.exists() else {}
    if "dataset" in description:
        description["dataset"] = {name: description["dataset"][name] for name in SEALED}
    total = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, array in content.items():
        total.update(f"\n{name} {array.dtype.newbyteorder('<').str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return total.digest()


def _as_array(number):
    """A number as it is saved; an integer of over 64 bits, which NumPy would pickle, as its little-endian bytes."""
    if type(number) is int and number >= 2**64:
        return np.frombuffer(number.to_bytes((number.bit_length() + 7) // 8, "little"), np.uint8)
    return np.asarray(number)


def _as_number(array):
    """The inverse of `_as_array`; None of what it does not make."""
    if array.shape == () and array.dtype.kind in "iuf":
        return array.item()
    big = int.from_bytes(array.tobytes(), "little") if array.dtype == np.uint8 and array.ndim == 1 else 0
    return big if 2**64 <= big < 2**256 else None


def read_npz(path, mend):
    """{name: array} of an .npz file.  Raises UserError, ending in `mend`, if it is missing, cut short or damaged."""
    try:
        return npy.read_npz(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {mend}") from None
    except Exception as error:   # zipfile, zlib and NumPy each raise their own for damaged bytes
        raise UserError(f"{path} is damaged ({why(error)}); {mend}") from None


def digest(arrays):
    """sha256 of a model's weights: the little-endian bytes of every array, C order, in parameter order.  Hex."""
    total = hashlib.sha256()
    for array in arrays.values():
        total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return total.hexdigest()
