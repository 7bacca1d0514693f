"""Compares a trace with the reference and names the first divergence.

The other trace may come from any program. It is a folder with, for each record of the reference that has a file, a
file of the same name: .npy, or the array's little-endian bytes alone under the same name with .bin. A manifest.json
in the form of trace.py lets numbers and digests be compared too; without one, only files are.
"""
import json
import math
import pathlib
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from .trace import MANIFEST, array_digest

LARGEST_MANIFEST = 64 << 20
NUMBERS = ("value", "exponent", "max_abs", "shift")


class Problem(ValueError):
    """A file of the other trace that cannot be compared; the message says why."""


class Finding(NamedTuple):
    """One record that differs."""
    record: dict
    text: str
    inputs_agree: object   # True, False, or None where an input could not be compared

    def __str__(self):
        r = self.record
        inputs = {True: "its inputs agree", False: "its inputs differ already",
                  None: "not all of its inputs could be compared"}[self.inputs_agree]
        return f"step {r['step']}, phase {r['phase']}, op {r['op']}, tensor {r['name']}: {self.text}; {inputs}"


class Comparison(NamedTuple):
    """What a comparison of two traces found."""
    findings: list     # of Finding, in the order of the reference
    extra: list        # names of files the reference does not have
    compared: int      # records compared
    skipped: int       # records of which the other trace holds nothing to compare


def read_manifest(folder):
    """The manifest of a trace, checked as far as the comparison relies on it.  Raises UserError naming the file."""
    path = pathlib.Path(folder) / MANIFEST
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ValueError("it is too large")
        manifest = json.loads(path.read_text())
        for record in manifest["records"]:
            for name in ("phase", "op", "name"):
                if not isinstance(record[name], str):
                    raise ValueError(f"a record's {name} is not a string")
            if not isinstance(record["step"], int) or not all(isinstance(i, int) for i in record["inputs"]):
                raise ValueError("a record's step or inputs are not whole numbers")
            if "value" not in record:
                np.dtype(record["dtype"])
                if not all(isinstance(size, int) and size >= 0 for size in record["shape"]):
                    raise ValueError("a shape is not a list of sizes")
                if not isinstance(record["sha256"], str) or not isinstance(record.get("file", ""), str):
                    raise ValueError("a digest or file name is not a string")
                if "/" in record.get("file", "") or "\\" in record.get("file", ""):
                    raise ValueError("a file is outside the folder")
    except FileNotFoundError:
        raise UserError(f"{folder} holds no trace: there is no {MANIFEST}; make one with `golden export`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not the manifest of a trace ({type(error).__name__}: {error}); export it again") \
            from None
    if not manifest["records"]:
        raise UserError(f"{path} lists nothing to compare; export it again")
    return manifest


def read_array(folder, record):
    """The array of a record from a folder, .npy or .bin.  Raises Problem saying what is wrong with its file."""
    dtype, shape = np.dtype(record["dtype"]), tuple(record["shape"])
    path = pathlib.Path(folder) / record["file"]
    raw = path.with_suffix(".bin")
    if not path.exists() and raw.exists():
        content, expected = raw.read_bytes(), math.prod(shape) * dtype.itemsize
        if len(content) != expected:
            raise Problem(f"{raw.name} is {'empty' if not content else 'of the wrong length'}: {len(content):,} bytes "
                          f"instead of {expected:,}")
        return np.frombuffer(content, dtype.newbyteorder("<")).reshape(shape)
    if not path.exists():
        raise Problem(f"{path.name} is missing")
    if path.stat().st_size == 0:
        raise Problem(f"{path.name} is empty")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:   # a damaged header can fail in many ways
        raise Problem(f"{path.name} is truncated or is no .npy file ({str(error).splitlines()[0]})") from None
    if array.dtype != dtype and array.dtype == dtype.newbyteorder(">"):
        raise Problem(f"{path.name} is big-endian: write it little-endian")
    if array.dtype != dtype:
        raise Problem(f"{path.name} is of {array.dtype} instead of {dtype}")
    if array.shape != shape:
        raise Problem(f"{path.name} is of shape {array.shape} instead of {shape}")
    if path.stat().st_size != array.offset + array.nbytes:
        raise Problem(f"{path.name} has bytes behind its array")
    return np.array(array)


def first_difference(expected, got):
    """Where two arrays of one shape and dtype first differ, in words; None if they are equal bit for bit."""
    if expected.dtype.kind == "f":   # -0.0 and NaN payloads are differences, too
        expected_bits, got_bits = (a.view(f"u{a.itemsize}") for a in (expected, got))
    else:
        expected_bits, got_bits = expected, got
    different = np.flatnonzero(expected_bits.reshape(-1) != got_bits.reshape(-1))
    if not different.size:
        return None
    index = tuple(int(i) for i in np.unravel_index(different[0], expected.shape))
    return (f"index {index}: expected {expected[index]}, got {got[index]}; {different.size:,} of {expected.size:,} "
            "values differ")


def compare_record(reference, mine_folder, mine, expected):
    """What is different in one record, in words; '' if nothing; None if there is nothing to compare.

    mine: the record of the other trace, None without a manifest.  expected: the reference's array or None.
    """
    if mine is not None:
        for name in NUMBERS:
            if name in reference and mine.get(name) != reference[name]:
                return f"{name}: expected {reference[name]}, got {mine.get(name)}"
        if "value" in reference:
            return ""
    elif "file" not in reference:
        return None
    try:
        if expected is not None and (mine is None or "file" in mine):
            name = (mine or reference)["file"]
            return first_difference(expected, read_array(mine_folder, {**reference, "file": name})) or ""
        if "file" in mine:
            digest = array_digest(read_array(mine_folder, {**reference, "file": mine["file"]}))
        else:
            digest = mine.get("sha256")
    except Problem as problem:
        return str(problem)
    return "" if digest == reference["sha256"] else "its sha256 differs"


def compare(reference_folder, mine_folder):
    """Compares two traces.  Returns a Comparison; raises UserError if either folder is no trace or is damaged."""
    reference_folder, mine_folder = pathlib.Path(reference_folder), pathlib.Path(mine_folder)
    records = read_manifest(reference_folder)["records"]
    if not mine_folder.is_dir():
        raise UserError(f"{mine_folder} is not a folder; give the folder that holds your trace's files")
    if not any((mine_folder / name).exists() for record in records if "file" in record
               for name in (MANIFEST, record["file"], pathlib.Path(record["file"]).with_suffix(".bin"))):
        raise UserError(f"{mine_folder} has none of the reference's files: there is nothing to compare")
    by_key = None
    if (mine_folder / MANIFEST).exists():
        by_key = {key_of(record): record for record in read_manifest(mine_folder)["records"]}
    agree, findings, compared, skipped = [], [], 0, 0
    for record in records:
        expected = None
        if "file" in record:
            try:
                expected = read_array(reference_folder, record)
            except Problem as problem:
                raise UserError(f"the reference {reference_folder} is damaged: {problem}; restore it") from None
            if array_digest(expected) != record["sha256"]:
                raise UserError(f"the reference {reference_folder} is damaged: {record['file']} does not have the "
                                "sha256 its manifest says; restore it")
        mine = by_key.get(key_of(record)) if by_key is not None else None
        text = ("it is missing from the manifest" if by_key is not None and mine is None
                else compare_record(record, mine_folder, mine, expected))
        agree.append(None if text is None else not text)
        skipped += text is None
        compared += text is not None
        if text:
            states = [agree[i] for i in record["inputs"] if i < len(agree)]
            findings.append(Finding(record, text, False if False in states else None if None in states else True))
    known = {MANIFEST} | {record["file"] for record in records if "file" in record}
    known |= {pathlib.Path(name).with_suffix(".bin").name for name in known}
    if by_key is not None:
        known |= {record["file"] for record in by_key.values() if "file" in record}
        findings += [Finding(by_key[key], "it is not in the reference", None)
                     for key in by_key.keys() - {key_of(record) for record in records}]
    extra = sorted(path.name for path in mine_folder.iterdir() if path.name not in known)
    return Comparison(findings, extra, compared, skipped)


def key_of(record):
    """What identifies a record within a trace."""
    return record["step"], record["phase"], record["op"], record["name"]
