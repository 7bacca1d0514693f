"""Tier 1: golden vectors of every integer op, one JSON file an op, in the manner of Wycheproof.

    {"format_version": .., "op": "..", "description": "..", "flags": {"FlagName": "the bug it catches"},
     "cases": [{"id": 1, "comment": "..", "flags": [..],
                "inputs": {..}, "parameters": {..}, "expected": {..}}, ..]}

All numbers are integers, written in decimal; some need 64 bits. An array is a nested list in C order, an int8
tensor with its exponent {"data": .., "exponent": n}. `expected` holds intermediate results too. A case
carries a flag exactly if a port with that bug, and no other, gives another answer in some field. The cases
are in cases/, the bugs in tests/bugs_*.py: whoever writes files hands in `flags_of`, which finds the flags of a
case. To check is to recompute every case of a file, from the inputs it holds, and to compare every number.
"""
import json
import pathlib
from typing import NamedTuple

from ..errors import UserError, why
from ..files import read_bounded, unique_names, write_atomically
from . import FORMAT_VERSION
from .cases import arith, draws, layers, loss, points, random, run, scale, step, tail, zo

# In the order in which a port is best brought up.
DEFINITIONS = {**random.OPS, **draws.OPS, **arith.OPS, **layers.OPS, **points.OPS, **loss.OPS, **tail.OPS,
               **scale.OPS, **zo.OPS, **step.OPS, **run.OPS}
OPS = {name: op.compute for name, op in DEFINITIONS.items()}   # op(inputs, parameters) -> expected

LARGEST_FILE = 4 << 20       # bytes
DEEPEST = 12                 # lists and objects within each other
LARGEST_SIZE = 10**5         # of what a parameter asks to be drawn or laid out
SIZES = ("count", "samples", "batch_size", "epochs", "fan_in", "pad", "size", "shift")
MEND = "restore it, or write it anew with `make golden-update`"
HEADER = ("format_version", "op", "description", "flags", "cases")
CASE = ("id", "comment", "flags", "inputs", "parameters", "expected")


class _Mismatch(NamedTuple):
    """One number, or one length, that differs."""
    file: str
    case: int
    field: str       # of `expected`
    index: tuple     # type: ignore[assignment]   # within the field: positions in lists, names in objects
    expected: object
    got: object

    def __str__(self):
        place = self.field + "".join(f"[{part}]" for part in self.index)
        return f"{self.file}, case {self.case}: {place} is to be {self.expected}, got {self.got}"


# Writing.

def vectors(name, flags_of):
    """The contents of an op's file, computed by the library.

    flags_of: maps the op's name and a case, an entry of `cases` that has no flags yet, to the names of its flags.
    """
    op = DEFINITIONS[name]
    cases = []
    for number, case in enumerate(op.cases, 1):
        expected = op.compute(case.inputs, case.parameters)
        cases.append(dict(zip(CASE, (number, case.comment, [], case.inputs, case.parameters, expected))))
        shown = flags_of(name, cases[-1])
        cases[-1]["flags"] = [flag for flag in op.flags if flag in shown]
    return dict(zip(HEADER, (FORMAT_VERSION, name, op.description, op.flags, cases)))


def to_bytes(content):
    """An op's file: ASCII, a line for each case, the same bytes everywhere."""
    header = json.dumps({key: content[key] for key in HEADER[:-1]}, indent=2)
    cases = ",\n".join("    " + json.dumps(case) for case in content["cases"])
    return f'{header[:-2]},\n  "cases": [\n{cases}\n  ]\n}}\n'.encode("ascii")


def write_ops(folder, flags_of):
    """Writes every op's file into `folder`, which is made if need be.  flags_of: as in `vectors`."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEFINITIONS:
        write_atomically(folder / f"{name}.json", to_bytes(vectors(name, flags_of)))


# Reading.

def _refuse_float(text):
    raise ValueError(f"{text} is not an integer")


def _bounded_int(text):
    value = int(text[:21])   # no number has as many digits
    if not -2**63 <= value < 2**64:
        raise ValueError(f"{text[:21]} does not fit 64 bits")
    return value


def _check_values(value, depth=0):
    """Refuses whatever is not an int, a string, or a list or object of such."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            _check_values(part, depth + 1)
    elif type(value) not in (int, str):
        raise ValueError(f"{value} stands where an integer should")


def _check_layout(content, name):
    """Refuses an object that is not the vectors of op `name`.  Raises ValueError saying why."""
    if not isinstance(content, dict) or tuple(content) != HEADER:
        raise ValueError(f"it does not have exactly the entries {', '.join(HEADER)}")
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format_version is {content['format_version']}, this program reads "
                         f"{FORMAT_VERSION}")
    if content["op"] != name:
        raise ValueError(f"it is not of op {name}")
    if not isinstance(content["flags"], dict) or not isinstance(content["cases"], list):
        raise ValueError("flags are not an object or cases are not a list")
    if not content["cases"]:
        raise ValueError("it has no cases")
    for number, case in enumerate(content["cases"], 1):
        if not isinstance(case, dict) or tuple(case) != CASE or case["id"] != number:
            raise ValueError(f"case {number} does not have the id {number} and exactly the entries "
                             f"{', '.join(CASE)}")
        if not isinstance(case["flags"], list) or any(flag not in content["flags"] for flag in case["flags"]):
            raise ValueError(f"case {number} has a flag that the file does not explain")
        if not all(isinstance(case[part], dict) for part in ("inputs", "parameters", "expected")):
            raise ValueError(f"inputs, parameters or expected of case {number} are not an object")
        if not case["expected"]:
            raise ValueError(f"case {number} expects nothing")
        sizes = [case["parameters"].get(size, 0) for size in SIZES]
        if any(type(size) is not int or size > LARGEST_SIZE for size in sizes):
            raise ValueError(f"case {number} asks for more than {LARGEST_SIZE} of something")
    _check_values(content)


def load_vectors(path):
    """The contents of one op's file.  Raises UserError if it is missing, damaged or of another format."""
    path = pathlib.Path(path)
    try:
        content = json.loads(read_bounded(path, LARGEST_FILE).decode("ascii"), parse_int=_bounded_int,
                             parse_float=_refuse_float, parse_constant=_refuse_float, object_pairs_hook=unique_names)
        _check_layout(content, path.stem)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {MEND}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {MEND}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({why(error)}); {MEND}") from None
    return content


# Checking.

def _differences(expected, got, path=()):
    """Yields (path, expected, got) wherever two values of JSON's types differ, in length or type too."""
    if type(expected) is type(got) is dict and expected.keys() == got.keys():
        for name in expected:
            yield from _differences(expected[name], got[name], (*path, name))
    elif type(expected) is type(got) is list and len(expected) == len(got):
        for i, pair in enumerate(zip(expected, got)):
            yield from _differences(*pair, (*path, i))
    elif type(expected) is type(got) is list:
        yield path, f"{len(expected)} elements", f"{len(got)} elements"
    elif type(expected) is not type(got) or expected != got:
        yield path, expected, got


def leaves(value):
    """How many numbers and strings a value of JSON's types holds."""
    if isinstance(value, (dict, list)):
        return sum(map(leaves, value.values() if isinstance(value, dict) else value))
    return 1


def check_file(path):
    """(mismatches, numbers compared) of one op's file.  Raises UserError if it is damaged."""
    content = load_vectors(path)
    mismatches, compared = [], 0
    for case in content["cases"]:
        try:
            got = OPS[content["op"]](case["inputs"], case["parameters"])
        except (ValueError, TypeError, LookupError, OverflowError, ArithmeticError, AttributeError,
                MemoryError) as error:
            raise UserError(f"{path} is damaged: case {case['id']} cannot be computed "
                            f"({why(error)}); {MEND}") from None
        compared += leaves(case["expected"])
        for name in {**case["expected"], **got}:
            pair = case["expected"].get(name, "no such field"), got.get(name, "no such field")
            mismatches += [_Mismatch(path.name, case["id"], name, index, *different)
                           for index, *different in _differences(*pair)]
    return mismatches, compared


def check_answers(vectors, answers):
    """(mismatches, fields compared) of another implementation's answers.

    vectors: what `load_vectors` gives.  answers: {id of a case: {field: value}}; what it has not is not compared.
    """
    mismatches, compared = [], 0
    for case in vectors["cases"]:
        answer = answers.get(case["id"], {})
        compared += len(answer)
        for name, value in answer.items():
            mismatches += [_Mismatch(f"{vectors['op']}.json", case["id"], name, index, *different) for index, *different
                           in _differences(case["expected"].get(name, "no such field"), value)]
    return mismatches, compared


def written_again(path):
    """The bytes of an op's file as this version writes it, with the flags that its cases have."""
    flags = {case["id"]: case["flags"] for case in load_vectors(path)["cases"]}
    return to_bytes(vectors(path.stem, lambda name, case: flags.get(case["id"], ())))


def check_ops(folder):
    """(mismatches, numbers compared) of all files in a folder of op vectors.

    Raises UserError if a file is damaged, if one is missing or of no known op, or if nothing was compared.
    """
    folder = pathlib.Path(folder)
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    unknown = [path.name for path in present if path.name not in {f"{name}.json" for name in OPS}]
    if unknown:
        raise UserError(f"{folder / unknown[0]} is of no op that this program knows; remove it, or update "
                        f"the program")
    mismatches, compared = [], 0
    for name in OPS:
        found, numbers = check_file(folder / f"{name}.json")
        mismatches += found
        compared += numbers
    if not compared:
        raise UserError(f"nothing in {folder} was compared; {MEND}")
    return mismatches, compared
