"""A trained network for other programs: an .npz file, or a C header that a device's firmware can include."""
import io
import re

import numpy as np

from .. import models
from ..run.checkpoint import digest

VALUES_A_LINE = 24
USUAL = "weights"   # stem of a header's name


def to_npz(arrays, numbers):
    """The bytes of an .npz: each weight under its layer's name and, for INT8, name.exponent beside it."""
    content = io.BytesIO()
    np.savez(content, **arrays, **{name: np.int32(value) for name, value in numbers.items()})
    return content.getvalue()


def to_c(model, arrays, numbers, origin, name):
    """The text of a C99 header: every INT8 weight as a static const array, its shape and its exponent.

    arrays: {layer's name: int8 array}.  numbers: {name.exponent: int}.  origin: one line for the top comment.
    name: any text; what the header defines begins with it, so that several headers can stand in one program.
    """
    prefix = identifier(name, ())
    weights = digest(arrays)
    guard = f"ZO_NUMPY_{prefix.upper()}_{weights[:16].upper()}"
    lines = ["/* " + origin.replace("*/", "* /").replace("/*", "/ *"),
             f" * weights sha256 {weights}",
             " * A weight is data * 2^exponent. Linear weights are (out, in), convolutions (out, in, height, width),",
             " * C order; the input of the first linear layer is flattened in C order over (channel, row, column). */",
             f"#ifndef {guard}", f"#define {guard}", "#include <stdint.h>", ""]
    taken = set()
    for layer in models.weight_layers(model.layers):
        data, exponent = arrays[layer.name], numbers[layer.name + ".exponent"]
        taken.add(called := identifier(f"{prefix}_{layer.name}", taken))
        for axis, size in enumerate(data.shape):
            lines.append(f"#define {called.upper()}_DIM{axis} {size}")
        lines.append(f"#define {called.upper()}_EXPONENT ({exponent})")
        lines.append(f"static const int8_t {called}_weight[{data.size}] = {{")
        flat = [str(value) for value in data.reshape(-1)]
        for start in range(0, len(flat), VALUES_A_LINE):
            lines.append("    " + ", ".join(flat[start:start + VALUES_A_LINE]) + ",")
        lines += ["};", ""]
    return "\n".join(lines + ["#endif", ""])


def c_name(run, out):
    """What the names in the header `out` of the weights of `run` begin with: the run's name, and the file's if it is
    not the usual one.
    """
    return run.resolve().name + ("" if out.stem == USUAL else f"_{out.stem}")


def identifier(text, taken):
    """A C identifier much like a text, and unlike those in `taken` even in capitals."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    plain = plain if plain[:1].isalpha() else f"n{plain}"
    found, number, others = plain, 1, {other.upper() for other in taken}
    while found.upper() in others:
        number += 1
        found = f"{plain}_{number}"
    return found
