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
    prefix, weights = c_names([name])[0], digest(arrays)
    guard = f"ZO_NUMPY_{prefix.upper()}_{weights[:16].upper()}"
    lines = ["/* " + comment(origin),
             f" * weights sha256 {weights}",
             " * A weight is data * 2^exponent. Linear weights are (out, in), convolutions (out, in, height, width),",
             " * C order; the input of the first linear layer is flattened in C order over (channel, row, column). */",
             f"#ifndef {guard}", f"#define {guard}", "#include <stdint.h>", ""]
    layers = models.weight_layers(model.layers)
    for layer, called in zip(layers, c_names(f"{prefix}_{layer.name}" for layer in layers)):
        data = arrays[layer.name]
        for axis, size in enumerate(data.shape):
            lines.append(f"#define {called.upper()}_DIM{axis} {size}")
        lines.append(f"#define {called.upper()}_EXPONENT ({numbers[layer.name + '.exponent']})")
        lines += values("int8_t", f"{called}_weight", data)
    return "\n".join(lines + ["#endif", ""])


def header_name(run, out):
    """What the names in the header `out` of the weights of `run` begin with: the run's name, and the file's if it is
    not the usual one.
    """
    return run.resolve().name + ("" if out.stem == USUAL else f"_{out.stem}")


def values(kind, name, array):
    """The lines of a static const array of C, and an empty one."""
    flat = [str(value) for value in array.reshape(-1)]
    return [f"static const {kind} {name}[{array.size}] = {{",
            *("    " + ", ".join(flat[start:start + VALUES_A_LINE]) + ","
              for start in range(0, len(flat), VALUES_A_LINE)), "};", ""]


def comment(words):
    """Words that do not end the comment of C that they stand in, nor begin another."""
    return words.replace("*/", "* /").replace("/*", "/ *").encode("ascii", "replace").decode()


def c_names(names):
    """A C identifier for each name: itself, if it is one; else with _ for what may not stand in it, and a number where
    two would be the same. Upper and lower case do not tell them apart.
    """
    made = []
    for name in names:
        start = re.sub(r"[^0-9A-Za-z_]", "_", name)
        start = found = start if start[:1].isalpha() else "x" + start
        number = 2
        while found.upper() in map(str.upper, made):
            found, number = f"{start}_{number}", number + 1
        made.append(found)
    return made
