"""Op cases and traces as flat text, a record a line, for who has no parser of JSON or .npy: a device on a serial line.

A line of a trace, its words with single spaces between:

    STEP PHASE OP NAME TYPE SHAPE EXPONENT MAX_ABS SHIFT NUMBER NUMBER ...

TYPE is int8, uint8, int32, float32 and so on, or `number` for what is no array (a loss, g), whose SHAPE is -. SHAPE has
commas between its sizes. EXPONENT, MAX_ABS and SHIFT are - where the record has none. The numbers are in C order; of an
array that the trace has no file of, the digest stands there, as sha256:HEX. A line of an op's case:

    OP CASE PART FIELD TYPE SHAPE NUMBER NUMBER ...

PART is inputs, parameters or expected; FIELD the name, with dots where names stand in it (x.data, weights.0.exponent);
TYPE is number or text.
"""
import json
import math
import re
import struct

import numpy as np

from ..errors import UserError, why
from . import FORMAT_VERSION
from .diff import DTYPES, check_record, key_of, read_array, read_manifest
from .tolerances import tolerances_of
from .trace import MANIFEST, array_digest

EXTRA = ("exponent", "max_abs", "shift")
NONE = "-"
DIGEST = "sha256:"
BITS = {**{kind: 8 * np.dtype(kind).itemsize for kind in DTYPES}, "number": 64}


def trace_lines(folder):
    """The lines of a trace in a folder.  Raises UserError."""
    for record in read_manifest(folder)["records"]:
        if "value" in record:
            value = record["value"]
            numbers, kind, shape = value if type(value) is list else [value], "number", NONE
        else:
            kind, shape = record["dtype"], ",".join(map(str, record["shape"])) or NONE
            numbers = read_array(folder, record).reshape(-1).tolist() if "file" in record else [DIGEST + record["sha256"]]
        words = [record["step"], record["phase"], record["op"], record["name"], kind, shape,
                 *(record.get(name, NONE) for name in EXTRA), *numbers]
        yield " ".join(map(str, words))


def case_lines(path):
    """The lines of a file of an op's cases.  Raises UserError."""
    try:
        file = json.loads(path.read_text())
        for case in file["cases"]:
            for part in ("inputs", "parameters", "expected"):
                for field, kind, shape, numbers in _words_of("", case[part]):
                    yield " ".join(map(str, [file["op"], case["id"], part, field, kind, shape, *numbers]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not hold the cases of an op ({why(error)}); give a file of "
                        "tests/golden/ops") from None


def hex_files(lines, first):
    """(file's name, content) of each array and number of a trace or of an op's cases, for Verilog's $readmemh.

    A number a line, two's complement in as many digits as its type has bits for (of `number` 64); floats as IEEE bits.
    lines: of `trace_lines` or `case_lines`.  first: where the numbers begin in a line, 9 or 6.
    """
    for line in lines:
        words = line.split()
        if words[4] in BITS and not words[first].startswith(DIGEST):
            bits = BITS[words[4]]
            numbers = (_as_integer(word, words[4]) % 2**bits for word in words[first:])
            yield "_".join(words[:4]) + ".hex", "".join(f"{number:0{bits // 4}x}\n" for number in numbers)


def _as_integer(word, kind):
    """A number of the text as an integer; a float by its bits."""
    if kind == "float32":
        return struct.unpack(">I", struct.pack(">f", float(word)))[0]
    return int(word) if re.fullmatch(r"-?\d+", word) else struct.unpack(">Q", struct.pack(">d", float(word)))[0]


def _words_of(name, value):
    """(field, type, shape, numbers) of all that a value of JSON holds."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    shape = _shape(value)
    if shape is not None:
        yield name, "number", ",".join(map(str, shape)) or NONE, np.array(value, object).reshape(-1).tolist()
    elif isinstance(value, str):
        yield name, "text", NONE, [value]
    for key, part in () if shape is not None else inside:
        yield from _words_of(f"{name}.{key}" if name else str(key), part)


def _shape(value):
    """The shape of a number, or of a list of them that has one; else None."""
    if isinstance(value, (int, float)):
        return ()
    shapes = {_shape(part) for part in value} if isinstance(value, list) and value else {None}
    return (len(value), *shapes.pop()) if len(shapes) == 1 and None not in shapes else None


def read_trace(lines, reference, folder):
    """Writes the trace that lines of text hold into an empty folder, so that `diff.compare` can read it.

    lines: text, any number of them.  reference: the folder of the trace it is to be compared with.
    Returns (how many lines are no record and were skipped, how the first of them begins, or None).  Raises UserError
    naming the line that is a damaged record, or one for the second time; or if no line is a record.
    """
    manifest = read_manifest(reference)
    known, floats = {key_of(record) for record in manifest["records"]}, tolerances_of(manifest, reference) is not None
    records, seen, skipped, first = [], set(), 0, None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        try:
            record, array = _record(words)
            check_record(record, number, floats)
            problem = "a record of this step, phase, op and name stands above it" if key_of(record) in seen else None
        except (ValueError, OverflowError) as error:
            if not _was_a_record(words, known):
                skipped, first = skipped + 1, first or line.strip()[:60]
                continue
            problem = str(error)[:200]
        if problem:
            raise UserError(f"line {number} is no record of a trace ({problem}); it begins: {line.strip()[:60]!r}")
        if array is not None:
            record["file"] = f"{len(records)}.bin"
            (folder / record["file"]).write_bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
        seen.add(key_of(record))
        records.append(record)
    if not records:
        raise UserError("there is no line to compare; print a record a line"
                        + (f" ({skipped:,} are none, the first: {first!r})" if skipped else ""))
    (folder / MANIFEST).write_text(json.dumps({"format_version": FORMAT_VERSION, "config": manifest["config"],
                                               "records": records}))
    return skipped, first


def _was_a_record(words, known):
    """Whether a line that is no record was to be one: all others are noise, as what a device says when it starts.

    It was if it names a record, wherever that stands in it; if it is cut off within such a name; or if it has a step
    and a type in their places.  known: (step, phase, op, name) of all records.
    """
    names = {key[1:] for key in known}
    cut = " ".join(words)
    return (any(tuple(words[i:i + 3]) in names for i in range(len(words) - 2))
            or 1 < len(words) <= 4 and any(" ".join(map(str, key)).startswith(cut) for key in known)
            or words[0].isdecimal() and len(words) > 4 and words[4] in DTYPES)


def _record(words):
    """(record, its array or None) of the words of a line.  Raises ValueError."""
    if len(words) < 10:
        raise ValueError(f"{len(words)} words; ten are the fewest")
    step, phase, op, name, kind, shape, *rest = words
    numbers = rest[len(EXTRA):]
    record = {"step": int(step), "phase": phase, "op": op, "name": name, "inputs": [],
              **{field: int(word) for field, word in zip(EXTRA, rest) if word != NONE}}
    if kind == "number":
        values = [int(word) if re.fullmatch("-?[0-9]+", word) else float(word) for word in numbers]
        return {**record, "value": values if len(values) > 1 else values[0]}, None
    if kind not in DTYPES:
        raise ValueError(f"{kind[:20]!r} is no type")
    sizes = [] if shape == NONE else [int(size) for size in shape.split(",")]
    record |= {"dtype": kind, "shape": sizes}
    if numbers[0].startswith(DIGEST):
        return {**record, "sha256": numbers[0].removeprefix(DIGEST)}, None
    if len(numbers) != math.prod(sizes):
        raise ValueError(f"{len(numbers):,} numbers, where {shape} are {math.prod(sizes):,}")
    array = np.array([float(word) for word in numbers] if kind.startswith("float") else
                     [int(word) for word in numbers], np.dtype(kind))   # OverflowError where one does not fit
    return {**record, "sha256": array_digest(array)}, array
