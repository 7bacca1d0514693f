"""What `python -m datasets.pack` is made of: a reader for each kind of source, and the writer of the packed file.

    class_folders.py    the folders of classes, and which files lie in them; pictures.py and shapes.py read those
    modelnet_clouds.py  clouds in ModelNet's layout
    idx_pairs.py        images and labels in IDX files
    table.py            a text file with a label and the pixels of a picture in each row
    options.py          the command line
    places.py           training or test part, and the order
    packed_file.py      the .npz file, written in bounded memory

A reader has these attributes, known before a sample is read,

    labels          (N,) int64, of all samples of both parts
    classes         tuple, their names
    is_test         (N,) bool: which samples are the test part; None if the source does not say
    shape, dtype    of a sample: (C, H, W) uint8 or (P, 3) float32
    preparation     as in zo_numpy/preparation.py

    mend            what to do about samples that cannot be used

and two methods: `samples()` yields one array of `shape` after the other, in order, or None for one that cannot be used,
which it adds to the Problems it was given; `name(i)` is what a message calls sample i.

Random numbers come from the DATA stream of zo_numpy/rng.py, at the tensors after those of zo_numpy/clouds.py:

    what                                tensor      step                    seed
    points on a mesh                    MESH        number of the sample    --seed
    which samples are the test part     SPLIT       0
    order of the samples of a part      ORDER       0 training, 1 test
"""

from zo_numpy.samples import SAID, DataError

MESH, SPLIT, ORDER = 5, 6, 7


class Problems:
    """Samples that cannot be used: the first ten are named, all are counted."""

    def __init__(self):
        self.count, self.first = 0, []

    def add(self, name, why):
        self.count += 1
        if len(self.first) < SAID:
            self.first.append(f"{name} ({' '.join(str(why).split())[:150]})")

    def check(self, source, mend):
        """Raises DataError if there are any.  mend: what to do about them."""
        if self.count:
            more = f" and {self.count - SAID:,} more" if self.count > SAID else ""
            raise DataError(f"{source}: {self.count:,} samples cannot be used: {', '.join(self.first)}{more}: {mend}")
