"""A run's data, or its weights, as one flat file that a port reads without a parser (`golden export-data`, `export`).

SPEC.md 15.1 says how it is laid out, byte by byte.

Data are four arrays: `train_x` and `train_y`, what the run trains on, and `test_x` and `test_y`, what it reports on;
`validate` and `limit` have been applied. Images are uint8 pixels (N, C, H, W). Clouds (N, P, 3) are decoded as the
precision takes them, int8 or float32; with `augment` train_x is (variants, N, P, 3). Labels are uint8.
Weights are named like the parameters of the precision.
"""
import math
import struct

import numpy as np

from ..clouds import Variants
from ..errors import UserError
from ..run.folder import write_output
from ..run.steps import parts, samples_at

MAGIC = b"ZOFLAT1\n"
KINDS = {"uint8": 1, "int8": 2, "int32": 3, "float32": 4}
LONGEST_NAME = 23
HEAD = "<24sIiI4I"   # of an array: name, type, exponent, axes, shape


def flat(arrays, exponents=None):
    """The bytes of a flat file.  arrays: {name: array}, in this order.  exponents: {name: int} of INT8 tensors.

    Raises UserError if it has no room for a name.
    """
    pieces = [MAGIC, struct.pack("<I", len(arrays))]
    for name, array in arrays.items():
        if len(name) > LONGEST_NAME:
            raise UserError(f"{name} is a name of {len(name)} letters, and a flat file has room for {LONGEST_NAME}: "
                            "train a network with shorter names, or export another --format")
        shape = (*array.shape, 1, 1, 1)[:4]
        pieces.append(struct.pack(HEAD, name.encode(), KINDS[array.dtype.name],
                                  (exponents or {}).get(name, 0), array.ndim, *shape))
        pieces.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return b"".join(pieces)


def arrays_of(content):
    """({name: array}, {name: exponent}) of the bytes of a flat file, exponents of every array."""
    (count,), at = struct.unpack_from("<I", content, len(MAGIC)), len(MAGIC) + 4
    names, arrays, exponents = {kind: name for name, kind in KINDS.items()}, {}, {}
    for _ in range(count):
        name, kind, exponent, axes, *shape = struct.unpack_from(HEAD, content, at)
        name, dtype, at = name.rstrip(b"\0").decode(), np.dtype(names[kind]), at + struct.calcsize(HEAD)
        numbers = np.frombuffer(content, dtype.newbyteorder("<"), math.prod(shape), at)
        arrays[name], exponents[name] = numbers.astype(dtype).reshape(shape[:axes]), exponent
        at += numbers.nbytes
    return arrays, exponents


def _data_arrays(config, dataset):
    """{name: array} of a run's data.  Raises UserError if a label does not fit a byte."""
    (samples, labels), (seen, classes), _ = parts(config, dataset)
    if isinstance(samples, Variants):
        samples = np.stack([samples_at(samples, variant) for variant in range(config.augment)])
    if max(labels.max(), classes.max()) > 255:
        raise UserError(f"--data {config.data}: a flat file holds up to 256 classes; train on fewer")
    return {"train_x": samples, "train_y": labels.astype(np.uint8), "test_x": seen, "test_y": classes.astype(np.uint8)}


def export_data(config, dataset, path):
    """Writes a run's data; returns how many bytes.  Raises UserError."""
    content = flat(_data_arrays(config, dataset))
    write_output(path, content)
    return len(content)


def flat_weights(arrays, numbers):
    """A run's weights, for a port to start from, as the bytes of a flat file.  Arguments: as a precision's
    `to_arrays` returns them.
    """
    return flat(arrays, {name: numbers[name + ".exponent"] for name in arrays if name + ".exponent" in numbers})
