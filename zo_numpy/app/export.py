"""A trained network for other programs: an .npz file, or a C header that a device's firmware can include."""
import io
import re

import numpy as np

from .. import models
from ..run.checkpoint import digest

VALUES_A_LINE = 24


def to_npz(arrays, numbers):
    """The bytes of an .npz: each weight under its layer's name and, for INT8, name.exponent beside it."""
    content = io.BytesIO()
    np.savez(content, **arrays, **{name: np.int32(value) for name, value in numbers.items()})
    return content.getvalue()


def to_c(model, arrays, numbers, origin):
    """The text of a C99 header: every INT8 weight as a static const array, its shape and its exponent.

    arrays: {name: int8 array}.  numbers: {name.exponent: int}.  origin: one line for the top comment.
    """
    plain = re.sub("[^A-Z0-9]", "_", model.name.upper())
    guard = f"ZO_NUMPY_{plain}_H"
    lines = ["/* " + origin.replace("*/", "* /").replace("/*", "/ *"),
             f" * weights sha256 {digest(arrays)}",
             " * A weight is data * 2^exponent. Linear weights are (out, in), convolutions (out, in, height, width),",
             " * C order; the input of the first linear layer is flattened in C order over (channel, row, column). */",
             f"#ifndef {guard}", f"#define {guard}", "#include <stdint.h>", ""]
    for layer in models.weight_layers(model.layers):
        name, data = layer.name, arrays[layer.name]
        for axis, size in enumerate(data.shape):
            lines.append(f"#define {name.upper()}_DIM{axis} {size}")
        lines.append(f"#define {name.upper()}_EXPONENT ({numbers[name + '.exponent']})")
        lines.append(f"static const int8_t {name}_weight[{data.size}] = {{")
        flat = [str(value) for value in data.reshape(-1)]
        for start in range(0, len(flat), VALUES_A_LINE):
            lines.append("    " + ", ".join(flat[start:start + VALUES_A_LINE]) + ",")
        lines += ["};", ""]
    return "\n".join(lines + ["#endif", ""])
