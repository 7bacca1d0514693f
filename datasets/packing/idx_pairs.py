"""Images and labels in IDX files, plain or gzipped, of MNIST's relatives: EMNIST, whose classes begin at 1, QMNIST,
whose labels are wide (the first number of each row is the class), and others.

Two files are a pair if their names differ in `images` and `labels` and in what follows `idx`. A pair with `train` in
its name is the training part, one with `test` or `t10k` the test part. The numbers that occur as labels are classes.
"""

import gzip
import re
import struct
import zlib

import numpy as np

from datasets.idx import GZIP_MAGIC
from datasets.packing import class_folders
from zo_numpy.files import short
from zo_numpy.preparation import of_pixels
from zo_numpy.samples import DataError, some

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4"}   # of elements, by the number in the header
PART = re.compile("train|test|t10k")
IDX = re.compile(r"^(.+)[-.]idx\d[-.].*$", re.IGNORECASE)
ROWS = 1 << 20              # bytes read at a time


def is_idx(path):
    """Whether a file's name, and how it begins, are those of an IDX file."""
    try:
        with opened(path) as file:
            start = file.read(4)
    except (OSError, EOFError, zlib.error):
        return bool(IDX.match(path.name))
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in (*TYPES, 0x0D, 0x0E) and 1 <= start[3] <= 4


def opened(path):
    """A file open for reading, inflated if it is gzipped."""
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    return gzip.open(path, "rb") if packed else open(path, "rb")


def stem(path):
    """What a pair's names have in common."""
    match = IDX.match(path.name)
    return re.sub("images?|labels?", "*", (match[1] if match else path.name.split(".")[0]).lower())


def find(source, where):
    """{whether it is the test part, or None: (images, labels)} of the pairs of IDX files in a folder.

    source: the folder, or one of the files, whose set is taken.  where: what messages call it.  Raises DataError.
    """
    folder = source if source.is_dir() else source.parent
    paths = [path for path in class_folders.files_in(folder) if is_idx(path)]
    pairs, sets = {}, {}
    for path in sorted(paths, key=lambda path: path.suffix == ".gz"):   # plain ones before gzipped ones
        kind = next((kind for kind in ("image", "label") if kind in path.name.lower()), None)
        if kind:
            pairs.setdefault(stem(path), {}).setdefault(kind, path)
    for name, pair in pairs.items():
        sets.setdefault(PART.sub("*", name), {})[name] = pair
    if source != folder:
        sets = {name: found for name, found in sets.items() if name == PART.sub("*", stem(source))}
    if len(sets) > 1:
        raise DataError(f"{where} holds several sets of IDX files ({some(sorted(sets))}): name one of their files")
    found = {}
    for name, pair in next(iter(sets.values()), {}).items():
        for kind, other in (("image", "label"), ("label", "image")):
            if kind not in pair:
                raise DataError(f"{short(pair[other])} has no file of {kind}s beside it: put both into one folder")
        match = PART.search(name)
        found[match[0] != "train" if match else None] = (pair["image"], pair["label"])
    if set(found) not in ({None}, {False}, {False, True}):
        raise DataError(f"{where} holds no pair of IDX files to train on: name them like train-images-idx3-ubyte and "
                        "train-labels-idx1-ubyte")
    return found


class IdxPairs:
    """A reader, see datasets/packing."""

    dtype = np.dtype(np.uint8)
    mend = "mend or remove them"

    def __init__(self, pairs, options, problems, announce):
        self.pairs = [pairs[part] for part in sorted(pairs, key=bool)]
        labels = [read_labels(path) for _, path in self.pairs]
        heads = [self.head(images, len(y)) for (images, _), y in zip(self.pairs, labels)]
        if len(set(heads)) > 1:
            raise DataError(f"{' and '.join(str(short(images)) for images, _ in self.pairs)} hold images of two sizes, "
                            f"{' and '.join(f'{c} x {r}' for r, c in heads)}: pack sets of one size")
        self.source_shape, self.counts = heads[0], [len(y) for y in labels]
        values, self.labels = np.unique(np.concatenate(labels), return_inverse=True)
        self.classes = tuple(map(str, values))
        if values[0] != 0 or values[-1] != len(values) - 1:
            announce(f"labels are {some(values)}: they are the names of the classes, which are numbered from 0")
        self.is_test = np.repeat([False, True], self.counts) if len(self.pairs) == 2 else None
        size = options.size or self.source_shape
        self.shape = (1, *size)
        self.preparation = {"size": list(size), "grey": True, "invert": options.invert}

    def head(self, path, count):
        """(rows, columns) of the images in a file, of which there must be `count`."""
        with opened(path) as file:
            kind, shape = read_head(file, path)
        if kind != "u1" or len(shape) != 3 or 0 in shape:
            raise DataError(f"{short(path)} holds {np.dtype(kind)} {' x '.join(map(str, shape))} where bytes, images x "
                            "rows x columns, are expected: convert it first")
        if shape[0] != count:
            raise DataError(f"{short(path)} holds {shape[0]:,} images and its labels are {count:,}: get both anew")
        return shape[1:]

    def name(self, i):
        first = i < self.counts[0]
        return f"{short(self.pairs[not first][0])} image {i if first else i - self.counts[0]}"

    def samples(self):
        rows, columns = self.source_shape
        for (path, _), count in zip(self.pairs, self.counts):
            with opened(path) as file:
                read_head(file, path)
                some_rows = max(1, ROWS // (rows * columns))
                for start in range(0, count, some_rows):
                    length = min(some_rows, count - start)
                    block = np.frombuffer(exactly(file, length * rows * columns, path), np.uint8)
                    for pixels in block.reshape(length, rows, columns, 1):
                        yield of_pixels(pixels, self.preparation)
                check_end(file, path)


def read_labels(path):
    """(N,) int64, the labels in an IDX file: its numbers, or the first of each row."""
    with opened(path) as file:
        kind, shape = read_head(file, path)
        if len(shape) not in (1, 2) or 0 in shape or np.prod(shape, dtype=float) > 1 << 28:
            raise DataError(f"{short(path)} holds numbers of the shape {' x '.join(map(str, shape))} where labels, or "
                            "rows that begin with one, are expected: get it anew")
        content = exactly(file, int(np.prod(shape)) * np.dtype(kind).itemsize, path)
        check_end(file, path)
    return np.frombuffer(content, kind).reshape(shape[0], -1)[:, 0].astype(np.int64)


def read_head(file, path):
    """(NumPy's name of the elements' type, shape) of an open IDX file, which is then at its first element."""
    start = exactly(file, 4, path)
    if start[:2] != b"\0\0" or start[2] not in TYPES or not start[3]:
        raise DataError(f"{short(path)} is not an IDX file of whole numbers, as it starts with {start.hex()}: get it "
                        "anew")
    return TYPES[start[2]], struct.unpack(f">{start[3]}I", exactly(file, 4 * start[3], path))


def exactly(file, length, path):
    """The next `length` bytes.  Raises DataError if the file is cut off or damaged."""
    try:
        content = file.read(length)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{short(path)} is a damaged gzip file ({error}): get it anew") from None
    except OSError as error:
        raise DataError(f"{short(path)} cannot be read ({error.strerror}): get it anew") from None
    if len(content) < length:
        raise DataError(f"{short(path)} is cut off: {length - len(content):,} bytes are missing: get it anew")
    return content


def check_end(file, path):
    """Raises DataError if bytes follow; reads on to where a gzip file's checksum is compared."""
    try:
        more = file.read(1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{short(path)} is a damaged gzip file ({error}): get it anew") from None
    if more:
        raise DataError(f"{short(path)} has bytes after its end: get it anew")
