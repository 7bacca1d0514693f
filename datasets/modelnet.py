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
import shlex
import sys
from pathlib import Path

import numpy as np

from datasets import DataError, Dataset
from datasets.hdf5 import read_files
from datasets.store import short
from zo_numpy.clouds import RADIUS

LISTS = ("train_files.txt", "test_files.txt")
NAMES = "shape_names.txt"
MAX_FILES, MAX_CLASSES = 1000, 256
MAX_TEXT = 1 << 20              # bytes of a list
COMPLETE = {"modelnet40": (40, 9840, 2468), "modelnet10": (10, 3991, 908)}   # classes, training and test clouds
TITLES = {"modelnet40": "ModelNet40", "modelnet10": "ModelNet10", "modelnet": "the data set"}


def load(name, points, data_dir, offline, announce):
    """Return ModelNet as a `Dataset`; parameters and errors are those of `datasets.load`.

    name: "modelnet40" or "modelnet10", whose counts are checked, or "modelnet", any data set in the layout.
    """
    folder = found_folder(name, data_dir, offline, announce)
    return announced(name, read_folder(name, folder, points), points, announce)


def fill_cache(name, parent, offline, announce):
    """Fetches ModelNet40 into the folder `parent`/name unless it is there, and checks it."""
    folder = parent / name
    if not os.path.exists(folder / NAMES):
        from datasets.modelnet_archive import obtain
        obtain(folder, offline, announce)
    announced(name, read_folder(name, folder, 1), 1, announce)


def announced(name, dataset, points, announce):
    """The same `Dataset`, of which a line was said."""
    announce(f"{TITLES[name]}: {len(dataset.train_labels):,} training and {len(dataset.test_labels):,} test clouds of "
             f"{points} points, {len(dataset.classes)} classes, from: {dataset.source}")
    return dataset


def found_folder(name, data_dir, offline, announce):
    """The folder that holds the data set: the user's, the cache's, or for ModelNet40 the cache's after a download."""
    if data_dir is not None:
        folder = Path(data_dir).expanduser()
        folder = folder / name if os.path.isdir(folder / name) else folder
        if not os.path.isdir(folder):
            raise DataError(f"{short(folder)} is not a folder: give --data-dir the folder that holds {NAMES}")
        return folder
    from datasets.download import default_parent
    folder = default_parent() / name
    if os.path.exists(folder / NAMES):
        return folder
    if name != "modelnet40":
        wanted = f"{TITLES[name]} in the layout of modelnet40_ply_hdf5_2048"
        raise DataError(f"{short(folder)} does not hold {NAMES}: nothing serves {wanted}: put it there or name its "
                        "folder with --data-dir, or take --data synthetic-solids or modelnet40")
    from datasets.modelnet_archive import obtain
    obtain(folder, offline, announce)
    return folder


def read_folder(name, folder, points):
    """The `Dataset` in a folder.  Raises DataError naming the file that is not as it should be, and the mend."""
    classes = read_names(folder / NAMES)
    (train, train_labels), (test, test_labels) = read_parts(folder, len(classes), points)
    counts = len(classes), len(train_labels), len(test_labels)
    if counts != COMPLETE.get(name, counts):
        wanted = COMPLETE[name]
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
        lines = [line.strip() for line in content.decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        lines = []
    if not lines or len(content) > MAX_TEXT:
        raise DataError(f"{short(path)} is not a list of names, a line each: restore it from the data set")
    return lines


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
    for line in read_text(folder / listing):
        path = folder / line.replace("\\", "/").rsplit("/", 1)[-1]
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
        raise DataError(f"{short(path)}: cloud {int(radius.argmax())} reaches {radius.max():.4g} from the origin: "
                        "centre each cloud and scale it into the unit sphere")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(((labels < 0) | (labels >= classes)).argmax())
        raise DataError(f"{short(path)}: cloud {wrong} has label {labels[wrong]} where {NAMES} names {classes} "
                        f"classes, 0 to {classes - 1}: add the missing names or mend the label")


def main(arguments):
    """Prints the options of `train` for the clouds at hand: ModelNet in the folder named, else in the cache, else the
    synthetic solids. Says on stderr which. Returns the exit status.
    """
    from datasets.download import default_parent
    named = arguments[0] if arguments else ""
    if named:
        choice = ["modelnet", "--data-dir", named]
    else:
        cached = [name for name in COMPLETE if os.path.exists(default_parent() / name / NAMES)]
        choice = [*cached, "synthetic-solids"][:1]
    if choice[0] == "synthetic-solids":
        print(f"no ModelNet in {short(default_parent())}: training on SYNTHETIC solids; name a copy of it with "
              "MODELNET=folder, or fetch it with: python -m datasets.download modelnet40", file=sys.stderr)
    else:
        print(f"training on {TITLES[choice[0]]}" + (f" in {named}" if named else ""), file=sys.stderr)
    print("--data", shlex.join(choice))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
