"""Folders of classes: which file is of which class and part. Three ways to lay them out are known:

    CLASS/file    train/CLASS/file and test/CLASS/file    CLASS/train/file and CLASS/test/file, as ModelNet's meshes

Names of train and test, and of one class in both, may differ in upper and lower case. A folder that holds one folder
and nothing else stands for that one. Hidden files and folders are passed over.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zo_numpy.files import short
from zo_numpy.preparation import KINDS as PICTURES
from zo_numpy.samples import DataError, some

LONGEST_NUMBER = 1000   # digits; Python turns no more than 4,300 into a number
SHAPES = (".off", ".npy", ".txt", ".xyz")
PARTS = {"train": False, "training": False, "test": True, "testing": True}   # name: whether it is the test part


class Folders(NamedTuple):
    """The files of all classes, class after class."""

    paths: list             # of the files
    labels: np.ndarray      # (N,) int64
    classes: tuple
    is_test: object         # (N,) bool, or None
    kind: tuple             # PICTURES or SHAPES, what the files are


def find(folder, announce):
    """The `Folders` in a folder.  Raises DataError if it is not laid out in one of the three ways."""
    folder = inner(folder)
    below = subfolders(folder)
    by_part = parts_of(below)
    if by_part:
        left_out = [path.name for path in below if path not in by_part]
        places = [(path.name, part, path) for top, part in by_part.items() for path in subfolders(top)]
    else:
        left_out = []
        places = [(path.name, part, place) for path in below
                  for place, part in (parts_of(subfolders(path)) or {path: None}).items()]
    if left_out:
        announce(f"left out: {some(left_out)}, as only train and test are packed")
    names = class_names(folder, [(name, part) for name, part, _ in places])
    files = [(names[name.casefold()], part, files_below(path)) for name, part, path in places]
    kind = kind_of(folder, [path for *_, paths in files for path in paths])
    return gathered(folder, files, kind, announce)


def inner(folder):
    """The folder itself, or the one it stands for: archives are often unpacked into folders within folders."""
    below = subfolders(folder)
    while len(below) == 1 and subfolders(below[0]) and not files_in(folder):
        folder, below = below[0], subfolders(below[0])
    return folder


def visible(folder):
    """The entries of a folder, in order of their names.  Raises DataError if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))),
                          key=lambda entry: in_order(entry.name))
    except OSError as error:
        raise DataError(f"{short(folder)} cannot be read ({error.strerror}): name another folder") from None


def in_order(name):
    """A key that sorts names as people do: 2 before 10."""
    return (0, int(name), name) if name.isdecimal() and len(name) <= LONGEST_NUMBER else (1, 0, name)


def subfolders(folder):
    return [Path(entry.path) for entry in visible(folder) if entry.is_dir()]


def files_in(folder):
    return [Path(entry.path) for entry in visible(folder) if entry.is_file()]


def files_below(folder):
    """All files in a folder and in the folders within."""
    return files_in(folder) + [path for inside in subfolders(folder) for path in files_below(inside)]


def parts_of(folders):
    """{folder: whether it is the test part} of those that are called train or test; {} unless both are there."""
    found = {path: PARTS[path.name.lower()] for path in folders if path.name.lower() in PARTS}
    return found if set(found.values()) == {False, True} else {}


def class_names(folder, found):
    """{name without case: name} of the classes.  found: (name, part) of each folder.

    Raises DataError if two folders of one part differ in case alone.
    """
    names, seen = {}, {}
    for name, part in found:
        other = seen.setdefault((name.casefold(), part), name)
        if other != name:
            raise DataError(f"{short(folder)} holds the classes {other} and {name}: join them, or name them apart")
        names.setdefault(name.casefold(), name)
    if not names:
        raise DataError(f"{short(folder)} holds no folders: make one for each class, with its samples in it")
    return names


def kind_of(folder, paths):
    """PICTURES or SHAPES, whichever more of the files are.  Raises DataError if none is either."""
    counts = {kind: sum(path.suffix.lower() in kind for path in paths) for kind in (PICTURES, SHAPES)}
    if not any(counts.values()):
        raise DataError(f"the folders in {short(folder)} hold no pictures ({', '.join(PICTURES)}) and no clouds "
                        f"({', '.join(SHAPES)}): put each sample into the folder of its class")
    return max(counts, key=counts.get)


def gathered(folder, files, kind, announce):
    """The `Folders` of (class, part, paths) of each place.  Raises DataError naming classes without a sample."""
    classes = tuple(sorted({name for name, *_ in files}, key=in_order))
    number = {name: label for label, name in enumerate(classes)}
    rows = [(path, number[name], part) for name, part, paths in files for path in paths
            if path.suffix.lower() in kind]
    others = [path for *_, paths in files for path in paths if path.suffix.lower() not in kind]
    if others:
        announce(f"left out: {len(others):,} files of other kinds, such as {short(others[0])}")
    labels = np.array([label for _, label, _ in rows], np.int64)
    empty = [classes[label] for label in np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)]
    if empty:
        raise DataError(f"{short(folder)}: no samples of {len(empty)} classes: {some(empty)}: add some, or remove the "
                        "folders")
    parts = {part for *_, part in rows}
    if None in parts and len(parts) > 1:
        raise DataError(f"{short(folder)}: some classes have folders train and test and others have none: lay all out "
                        "alike")
    is_test = None if None in parts else np.array([part for *_, part in rows])
    return Folders([path for path, *_ in rows], labels, classes, is_test, kind)
