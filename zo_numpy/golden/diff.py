"""Compares a trace with the reference and names the first divergence.

The other trace may come from any program. It is a folder that holds a file of the same name for each record of the
reference that has one: .npy, or .bin, which is the array's little-endian bytes alone. With a manifest.json in the form
of trace.py, numbers and digests are compared too; without one, only files are. INT8 is compared bit for bit, FP32
within the tolerances of tolerances.py.
"""
import json
import math
import pathlib
import re
from typing import NamedTuple

import numpy as np

from .. import npy
from ..errors import UserError, why
from ..files import read_bounded, unique_names
from . import FORMAT_VERSION
from .tolerances import SUMMARY, summary, tolerances_of
from .trace import MANIFEST, array_digest

LARGEST_MANIFEST = 64 << 20
NUMBERS = ("value", "exponent", "max_abs", "shift")
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64")
FILE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}\.(npy|bin)")   # so no manifest can name a file outside the folder
DIGEST = re.compile("[0-9a-f]{64}")
TEXT = re.compile(r"[\x20-\x7e]{1,100}")


class _Problem(ValueError):
    """A file of the other trace that cannot be compared; the message says why."""


class _Missing(_Problem):
    """A file that is not there."""


class _Finding(NamedTuple):
    """One record that differs."""
    record: dict
    text: str
    inputs_agree: object   # True, False, or None where an input could not be compared

    def __str__(self):
        r = self.record
        inputs = {True: "its inputs agree", False: "its inputs differ already",
                  None: "not all of its inputs could be compared"}[self.inputs_agree]
        return f"step {r['step']}, phase {r['phase']}, op {r['op']}, tensor {r['name']}: {self.text}; {inputs}"


class _Comparison(NamedTuple):
    """What a comparison of two traces found."""
    findings: list     # of _Finding, in the order of the reference
    extra: list        # names of files the reference does not have
    compared: int      # records compared
    skipped: int       # records for which the other trace holds nothing to compare
    tolerances: object = None   # of FP32


def check_record(record, number, floats=False):
    """Raises ValueError if this is not a record of a trace, as far as the comparison relies on it.

    floats: whether numbers may be floats.
    """
    for name in ("phase", "op", "name"):
        if type(record[name]) is not str or not TEXT.fullmatch(record[name]):
            raise ValueError(f"the {name} of record {number} is not a short text")
    if type(record["step"]) is not int or record["step"] < 0:
        raise ValueError(f"the step of record {number} is not a whole number")
    if not all(type(i) is int and 0 <= i < number for i in record["inputs"]):
        raise ValueError(f"the inputs of record {number} are not earlier records")
    for name in (*NUMBERS, *(SUMMARY if floats else ())):
        if not all(type(value) is int or floats and type(value) is float for value in _as_list(record.get(name, 0))):
            raise ValueError(f"the {name} of record {number} is not a {'' if floats else 'whole '}number")
    if "value" in record:
        return
    if record["dtype"] not in DTYPES:
        raise ValueError(f"the dtype of record {number} is not one of {', '.join(DTYPES)}")
    if not all(type(size) is int and size >= 0 for size in record["shape"]):
        raise ValueError(f"the shape of record {number} is not a list of sizes")
    if not DIGEST.fullmatch(record["sha256"]):
        raise ValueError(f"the sha256 of record {number} is not 64 digits")
    if not FILE_NAME.fullmatch(record.get("file", "none.npy")):
        raise ValueError(f"the file of record {number} is not the name of a .npy or .bin file of the folder")


def _as_list(value):
    return value if type(value) is list else [value]


def read_manifest(folder, reference=None):
    """The manifest of a trace, checked as far as the comparison relies on it.  Raises UserError naming the file.

    reference: the manifest to compare it with; its precision decides which numbers are allowed.
    """
    path = pathlib.Path(folder) / MANIFEST
    try:
        manifest = json.loads(read_bounded(path, LARGEST_MANIFEST).decode("utf-8"), object_pairs_hook=unique_names)
        if manifest["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version is not {FORMAT_VERSION}")
        floats = tolerances_of(reference or manifest, path) is not None
        for number, record in enumerate(manifest["records"]):
            check_record(record, number, floats)
        if len({key_of(record) for record in manifest["records"]}) < len(manifest["records"]):
            raise ValueError("two records have the same step, phase, op and name")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} holds no trace: there is no {MANIFEST}; make a trace with `golden export`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not the manifest of a trace ({why(error)}); export "
                        "it again") from None
    if not manifest["records"]:
        raise UserError(f"{path} lists nothing to compare; export it again")
    return manifest


def _read_bin(path, dtype, shape):
    """An array from its little-endian bytes alone.  Raises _Problem."""
    expected, length = math.prod(shape) * dtype.itemsize, path.stat().st_size
    if length != expected:
        raise _Problem(f"{path.name} has the wrong length: {length:,} bytes instead of {expected:,}")
    return np.frombuffer(path.read_bytes(), dtype.newbyteorder("<")).reshape(shape)


def read_header(path, file):
    """(shape, whether in Fortran order, dtype) of an open .npy file.  Raises _Problem."""
    try:
        return npy.read_header(file)
    except Exception as error:   # a damaged header can fail in many ways
        raise _Problem(f"{path.name} is no .npy file ({why(error)})") from None


def read_npy(path, dtype, shape):
    """An array from a .npy file.  Raises _Problem."""
    with open(path, "rb") as file:
        found_shape, fortran, found = read_header(path, file)
        if found != dtype and found == dtype.newbyteorder(">"):
            raise _Problem(f"{path.name} is big-endian: write it little-endian")
        if found != dtype:
            raise _Problem(f"{path.name} has dtype {str(found)[:40]} instead of {dtype}")
        if found_shape != shape:
            raise _Problem(f"{path.name} has shape {str(found_shape)[:80]} instead of {shape}")
        expected, length = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
        if length != expected:
            raise _Problem(f"{path.name} {'is truncated' if length < expected else 'has bytes after its array'}: "
                          f"{length:,} bytes of data instead of {expected:,}")
        return np.frombuffer(file.read(expected), found).reshape(shape, order="F" if fortran else "C")


def read_array(folder, record):
    """The array of a record from a folder, .npy or .bin.  Raises _Problem saying what is wrong with its file."""
    dtype, shape = np.dtype(record["dtype"]), tuple(record["shape"])
    path = pathlib.Path(folder) / record["file"]
    raw = path.with_suffix(".bin")
    path, read = (raw, _read_bin) if raw.exists() and not path.exists() else (
        path, _read_bin if path == raw else read_npy)
    try:
        if path.stat().st_size == 0:
            raise _Problem(f"{path.name} is empty")
        return read(path, dtype, shape)
    except (ValueError, OverflowError) as error:   # the shape is one that no array can have
        if isinstance(error, _Problem):
            raise
        raise _Problem(f"{path.name} cannot be of shape {str(shape)[:80]}") from None
    except FileNotFoundError:
        raise _Missing(f"{path.name} is missing") from None
    except OSError as error:
        raise _Problem(f"{path.name} cannot be read ({error.strerror})") from None


def first_difference(expected, got):
    """Where two arrays of integers of one shape and dtype first differ, in words; None if they are equal."""
    different = np.flatnonzero(expected.reshape(-1) != got.reshape(-1))
    if not different.size:
        return None
    index = tuple(int(i) for i in np.unravel_index(different[0], expected.shape))
    return (f"index {index}: expected {expected[index]}, got {got[index]}; {different.size:,} of {expected.size:,} "
            "values differ")


def _compare_record(reference, mine_folder, mine, expected, tolerances, partial):
    """What is different in one record, in words; '' if nothing; None if there is nothing to compare.

    mine: the record of the other trace, None without a manifest.  expected: the reference's array or None.  partial: as
    of `compare`.
    """
    if mine is None and "file" not in reference:
        return None
    if tolerances and type(reference.get("value", 0)) is not int and "value" in mine:
        return tolerances.value(reference, mine["value"]) or ""
    differences = [f"{name}: expected {reference[name]}, got {str(mine.get(name, 'none'))[:80]}" for name in NUMBERS
                   if mine is not None and name in reference and mine.get(name) != reference[name]]
    differences += [f"{name}: expected {reference[name]}, got {str(mine[name])[:80]}" for name in ("dtype", "shape")
                    if mine is not None and name in reference and mine.get(name, reference[name]) != reference[name]]
    if "value" not in reference:
        within = tolerances if reference["dtype"].startswith("float") else None
        try:
            differences.append(_compare_array(reference, mine_folder, mine or reference, expected, within))
        except _Problem as problem:
            if partial and not differences and isinstance(problem, _Missing):
                return None
            differences.append(str(problem))
    return "; ".join(filter(None, differences))


def _compare_array(reference, mine_folder, mine, expected, tolerances):
    """What is different in the array of a record, in words; None if nothing.  Raises _Problem."""
    array = read_array(mine_folder, {**reference, "file": mine["file"]}) if "file" in mine else None
    if tolerances and array is not None and expected is not None:
        return tolerances.array(reference, expected, array)
    if expected is not None and array is not None:
        return first_difference(expected, array)
    if (array_digest(array) if array is not None else mine.get("sha256")) == reference["sha256"]:
        return None
    if not tolerances:
        return "its sha256 differs"
    wanted, found = (record if held is None else summary(held)
                     for record, held in ((reference, expected), (mine, array)))
    if not all(name in record for name in SUMMARY for record in (wanted, found)):
        return f"it has neither a file nor {', '.join(SUMMARY)}"
    return tolerances.summary(reference, wanted, found)


def reference_array(folder, record):
    """The reference's array of a record, None without a file.  Raises UserError if it is damaged."""
    if "file" not in record:
        return None
    try:
        array = read_array(folder, record)
        if array_digest(array) != record["sha256"]:
            raise _Problem(f"{record['file']} does not have the sha256 that its manifest says")
    except _Problem as problem:
        raise UserError(f"the reference {folder} is damaged: {problem}; restore it") from None
    return array


def compare(reference_folder, mine_folder, partial=False):
    """Compares two traces.  Returns a _Comparison; raises UserError if either folder is no trace or is damaged.

    partial: whether the other trace may be a part: records and files that it does not have are skipped, and do not
    differ.
    """
    reference_folder, mine_folder = pathlib.Path(reference_folder), pathlib.Path(mine_folder)
    reference = read_manifest(reference_folder)
    records, tolerances = reference["records"], tolerances_of(reference, reference_folder / MANIFEST)
    if not mine_folder.is_dir():
        raise UserError(f"{mine_folder} is not a folder; give the folder that holds your trace's files")
    by_key = None
    if (mine_folder / MANIFEST).exists():
        by_key = {key_of(record): record for record in read_manifest(mine_folder, reference)["records"]}
    elif not partial and not any((mine_folder / name).exists() for record in records if "file" in record
                                 for name in (record["file"], pathlib.Path(record["file"]).with_suffix(".bin"))):
        raise UserError(f"{mine_folder} has none of the reference's files: there is nothing to compare; name yours as "
                        f"{reference_folder / MANIFEST} does")
    agree, findings = [], []
    for record in records:
        mine = by_key.get(key_of(record)) if by_key is not None else None
        expected = reference_array(reference_folder, record)
        if by_key is not None and mine is None:
            text = None if partial else "it is missing from the manifest"
        else:
            text = _compare_record(record, mine_folder, mine, expected, tolerances, partial)
        agree.append(None if text is None else not text)
        if text:
            states = [agree[i] for i in record["inputs"]]
            findings.append(_Finding(record, text, False if False in states else None if None in states else True))
    known = {MANIFEST} | {record["file"] for record in records if "file" in record}
    known |= {pathlib.Path(name).with_suffix(".bin").name for name in known}
    if by_key is not None:
        known |= {record["file"] for record in by_key.values() if "file" in record}
        expected_keys = {key_of(record) for record in records}
        findings += [_Finding(record, "it is not in the reference", None)
                     for key, record in by_key.items() if key not in expected_keys]
    extra = sorted(path.name for path in mine_folder.iterdir() if path.name not in known)
    skipped = agree.count(None)
    return _Comparison(findings, extra, len(agree) - skipped, skipped, tolerances)


def key_of(record):
    """What identifies a record within a trace."""
    return record["step"], record["phase"], record["op"], record["name"]
