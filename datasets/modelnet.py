"""ModelNet as point clouds, in the layout of `modelnet40_ply_hdf5_2048`: ModelNet40, ModelNet10 or any set laid out so.

Wu et al.: 3D ShapeNets: A Deep Representation for Volumetric Shapes, arXiv 1406.5670; the layout is that of the clouds
published with PointNet (Qi et al., arXiv 1612.00593):

    shape_names.txt                    the name of each class, a line each, by label
    train_files.txt, test_files.txt    HDF5 files, a line each; looked for by file name beside the list
    *.h5                               `data` (N, M, 3) floats in the unit sphere, y upwards;
                                       `label` (N, 1) or (N,) integers

HDF5 is read by a child process, see hdf5.py. Of a cloud's M points the ones asked for are taken at even steps
(zo_numpy/clouds.py, `chosen`). Left out: the archives' other members (normals, faces, the shapes' original names).
"""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np

from datasets import text
from datasets.hdf5 import read_files
from zo_numpy.clouds import RADIUS
from zo_numpy.files import short
from zo_numpy.samples import DataError, Dataset

LISTS = ("train_files.txt", "test_files.txt")
NAMES = "shape_names.txt"
MAX_FILES, MAX_CLASSES = 1000, 256
MAX_TEXT = 1 << 20              # bytes of a list
# Classes, training and test clouds of a whole set. All shapes of ModelNet40 are 9,843; its published archive has 9,840.
COMPLETE = {"modelnet40": ((40, 9840, 2468), (40, 9843, 2468)), "modelnet10": ((10, 3991, 908),)}
TITLES = {"modelnet40": "ModelNet40", "modelnet10": "ModelNet10", "modelnet": "the data set"}


def read_folder(name, folder, points):
    """The `Dataset` in a folder.  Raises DataError naming the file that is not as it should be, and the mend."""
    classes = read_names(in_any_case(folder, NAMES))
    (train, train_labels), (test, test_labels) = read_parts(folder, len(classes), points)
    counts = len(classes), len(train_labels), len(test_labels)
    if name in COMPLETE and counts not in COMPLETE[name]:
        wanted = COMPLETE[name][0]
        raise DataError(f"{short(folder)} is not {TITLES[name]}: it has {counts[0]} classes, {counts[1]:,} training "
                        f"and {counts[2]:,} test clouds where {wanted[0]}, {wanted[1]:,} and {wanted[2]:,} are "
                        "expected: call it --data modelnet, or get a whole copy")
    total = hashlib.sha256("\n".join(classes).encode())
    for array in (train, train_labels, test, test_labels):
        total.update(array.astype(array.dtype.newbyteorder("<"), copy=False))
        array.setflags(write=False)
    return Dataset(name, train, train_labels, test, test_labels, classes,
                   source=f"copy in {short(folder)}, {points} points of each cloud", complete=True,
                   digest=total.hexdigest())


def read_text(path):
    """The lines of a text file that are not blank."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise DataError(f"{short(path)} cannot be read ({error.strerror}): {Path(path).parent} must hold {NAMES}, "
                        f"{' and '.join(LISTS)}, as modelnet40_ply_hdf5_2048 does") from None
    try:
        found = text.lines(content)
    except UnicodeError:
        found = []
    if not found or len(content) > MAX_TEXT:
        raise DataError(f"{short(path)} is not a list of names, a line each: restore it from the data set")
    return found


def in_any_case(folder, name):
    """The path of a file in a folder, whose name may differ in case."""
    path = folder / name
    if os.path.exists(path) or not os.path.isdir(folder):
        return path
    return next((folder / other for other in sorted(os.listdir(folder)) if other.casefold() == name.casefold()), path)


def read_names(path):
    """The names of the classes, by label."""
    names = tuple(read_text(path))
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise DataError(f"{short(path)} names the class {twice!r} twice: give each class a name of its own")
    if not 2 <= len(names) <= MAX_CLASSES:
        raise DataError(f"{short(path)} names {len(names)} classes: there must be 2 to {MAX_CLASSES}")
    return names


def listed(folder, listing):
    """The paths of the files that a list names."""
    files = []
    for line in read_text(in_any_case(folder, listing)):
        path = in_any_case(folder, line.replace("\\", "/").rsplit("/", 1)[-1])
        if not os.path.isfile(path):
            raise DataError(f"{short(folder / listing)} names {line}, but {short(path)} is not there: put the file "
                            "beside the list, or take its line out")
        files.append(path)
    if len(files) > MAX_FILES or len(set(files)) < len(files):
        what = "a file twice" if len(files) <= MAX_FILES else "too many files"
        raise DataError(f"{short(folder / listing)} names {what}: restore it from the data set")
    return files


def read_parts(folder, classes, points):
    """(clouds, labels) of the training and of the test part: (N, points, 3) float32, (N,) uint8."""
    parts = [listed(folder, listing) for listing in LISTS]
    files = [path for part in parts for path in part]
    with contextlib.closing(read_files(files, points)) as arrays:
        pairs = [checked(path, *pair, classes) for path, pair in zip(files, arrays)]
    split = len(parts[0])
    return [tuple(map(np.concatenate, zip(*part))) for part in (pairs[:split], pairs[split:])]


def checked(path, clouds, labels, classes):
    """The same clouds, and labels as uint8.  Raises DataError."""
    check_values(path, clouds, labels, classes)
    return clouds, labels.astype(np.uint8)


def check_values(path, clouds, labels, classes):
    """Refuses clouds that do not fit the unit sphere, and labels of no class.  Raises DataError."""
    finite = np.isfinite(clouds).all(axis=(1, 2))
    if not finite.all():
        raise DataError(f"{short(path)}: cloud {int(finite.argmin())} has a coordinate that is not a number or not "
                        "finite: remove or repair it")
    reach = np.abs(clouds).max(axis=(1, 2))
    if not reach.all():   # as HDF5 gives what was never written
        raise DataError(f"{short(path)}: all points of cloud {int((reach == 0).argmax())} are the origin: remove or "
                        "repair it")
    radius = np.sqrt((clouds.astype(np.float64) ** 2).sum(axis=2).max(axis=1))
    if radius.max() > RADIUS:
        raise DataError(f"{short(path)}: cloud {int(radius.argmax())} reaches {radius.max():.4g} from the origin, "
                        "where clouds lie in the unit sphere: python -m datasets.pack --scale brings them there")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(((labels < 0) | (labels >= classes)).argmax())
        raise DataError(f"{short(path)}: cloud {wrong} has label {labels[wrong]} where {NAMES} names {classes} "
                        f"classes, 0 to {classes - 1}: add the missing names or mend the label")
