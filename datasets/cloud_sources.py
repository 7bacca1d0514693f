"""ModelNet's clouds: from the folder that the user names, else from the cache, which ModelNet40 is fetched into."""

import os

from datasets import modelnet_archive
from datasets.modelnet import NAMES, TITLES, read_folder
from datasets.store import default_parent, home
from zo_numpy.files import short, user_path
from zo_numpy.samples import DataError


def load(name, points, data_dir, offline, announce):
    """Return ModelNet as a `Dataset`; parameters and errors are those of `datasets.load`.

    name: "modelnet40" or "modelnet10", whose counts are checked, or "modelnet", any data set in the layout.
    """
    if data_dir is not None:
        folder = home(user_path(data_dir), name, [NAMES])
        if not os.path.isdir(folder):
            raise DataError(f"{short(folder)} is not a folder: give --data-dir the folder that holds {NAMES}")
    else:
        folder = cached(name, default_parent(), offline, announce)
    return announced(name, folder, points, announce)


def fill_cache(name, parent, offline, announce):
    """Fetch ModelNet40 into the folder `parent`/name unless it is there, and check it."""
    announced(name, cached(name, parent, offline, announce), 1, announce)


def announced(name, folder, points, announce):
    """The `Dataset` in a folder, of which a line is said."""
    dataset = read_folder(name, folder, points)
    announce(f"{TITLES[name]}: {len(dataset.train_labels):,} training and {len(dataset.test_labels):,} test clouds of "
             f"{points} points, {len(dataset.classes)} classes, from: {dataset.source}")
    return dataset


def cached(name, parent, offline, announce):
    """The folder `parent`/name, which holds the data set; ModelNet40 is fetched into it if it does not."""
    folder = parent / name
    if os.path.exists(folder / NAMES):
        return folder
    if name != "modelnet40":
        wanted = f"{TITLES[name]} in the layout of modelnet40_ply_hdf5_2048"
        raise DataError(f"{short(folder)} does not hold {NAMES}: nothing serves {wanted}: put it there or name its "
                        "folder with --data-dir, or take --data synthetic-solids or modelnet40")
    modelnet_archive.obtain(folder, offline, announce)
    return folder
