"""Data sets by name: images (MNIST, Fashion-MNIST) and point clouds (ModelNet, synthetic solids).

    from datasets import load
    mnist = load("mnist")          # fetched once, verified, then read from the cache

Reading order, which is also the order of imports, from the first to the last:

    what a set is           idx.py (the file format of images), image_set.py (what is known of a set of images before
                            it is read), mnist.py and fashion_mnist.py (those facts); modelnet.py (ModelNet's layout)
                            and hdf5.py (its files, read by a child process), solids.py (a synthetic set)
    where it lies           store.py (the cache, a user's folder, `embedded/`: the MNIST subset carried here)
    how it is fetched       mirrors.py, registries.py, modelnet_archive.py; image_sources.py and cloud_sources.py try
                            one place after the other

and then `load`. Commands: download.py, at_hand.py, and pack.py, which makes one file of a user's own data (packing/).
Changed copies, to adapt a trained network to: rotate.py (images), disturb.py (clouds). Images stay bytes here: scaling
them is the business of the precision that trains on them.
"""

from datasets import cloud_sources, fashion_mnist, image_sources, mnist, modelnet, solids, store
from zo_numpy.samples import DataError, Dataset

__all__ = ["DataError", "Dataset", "POINTS", "load"]

POINTS = 1024       # of a cloud, where nobody says how many
IMAGES = ("mnist", "mnist-subset", "fashion-mnist")
CLOUDS = (*modelnet.TITLES, solids.NAME)


def load(name, data_dir=None, offline=False, announce=print, points=POINTS):
    """Return the `Dataset` called `name`, one of IMAGES or CLOUDS (`_` may stand for `-`).

    data_dir: a folder that already holds the data set, or has a sub-folder of its name that does. Then only
        it is read, and nothing is fetched or written. Files that are well formed but not the official ones
        (another data set in MNIST's layout) are accepted, and `source` and `announce` say "unverified copy".
    offline: use no network: the cache, else what is embedded.
    announce: is called with one-line strings: what is tried, and which source was used.
    points: of each cloud, at most as many as the data set has; no matter to images.

    Raises DataError if the name is unknown, or the data cannot be had or is not well formed; UserError if data_dir is no
    path.
    """
    key = name.replace("_", "-").lower()
    if data_dir is not None and key in ("mnist-subset", solids.NAME):
        raise DataError(f"--data-dir has no effect on {key}, which needs no files of yours: leave it out, or choose "
                        "another --data")
    if key == "mnist":
        return image_sources.load(mnist.MNIST, data_dir, offline, announce)
    if key == "fashion-mnist":
        return image_sources.load(fashion_mnist.FASHION_MNIST, data_dir, offline, announce)
    if key == "mnist-subset":
        return store.load_embedded(mnist.MNIST)._replace(name=key)
    if key == solids.NAME:
        return solids.load(points, announce)
    if key in CLOUDS:
        return cloud_sources.load(key, points, data_dir, offline, announce)
    raise DataError(f"no data set is called {name!r}: choose one of {', '.join((*IMAGES, *CLOUDS))}")
