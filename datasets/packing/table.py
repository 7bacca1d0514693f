"""A table in a text file: in each row a label and the pixels of a picture, between commas, semicolons or tabs.

The first row may hold the columns' names. The labels stand in the column called label, class, target or y, or the one
named by --label, else in the first that holds words, else in the first; they are the names of the classes. Pixels are
whole numbers from 0 to 255, or numbers from 0 to 1, which are multiplied by 255. A picture is a square of one channel
unless --shape says otherwise. A file is read twice, some rows at a time, so it may be larger than memory.
"""

import math

import numpy as np

from datasets.packing.class_folders import in_order
from datasets.packing.rows import LONGEST_LABEL, RowFile
from datasets.progress import Progress
from zo_numpy.preparation import of_pixels
from zo_numpy.samples import MOST_CLASSES, DataError

KINDS = (".csv", ".tsv")    # of file names


def find(paths, where):
    """{whether it is the test part, or None: path} of one table or two.  Raises DataError."""
    if len(paths) == 1:
        return {None: paths[0]}
    found = {part: path for path in paths for name, part in (("train", False), ("test", True))
             if name in path.stem.lower()}
    if len(paths) != 2 or set(found) != {False, True}:
        raise DataError(f"{where} holds {len(paths)} tables: name one of them, or leave two, one with train and one "
                        "with test in its name")
    return found


class Table:
    """A reader, see datasets/packing."""

    dtype = np.dtype(np.uint8)
    mend = "mend or remove them"

    def __init__(self, paths, options, problems, announce):
        """paths: {whether it is the test part, or None: path}."""
        self.files = [RowFile(paths[part], options.label) for part in sorted(paths, key=bool)]
        self.problems, self.refused = problems, set()
        columns = {file.columns for file in self.files}
        if len(columns) > 1:
            raise DataError(f"{' and '.join(str(file.where) for file in self.files)} have {min(columns)} and "
                            f"{max(columns)} columns: pack tables of the same pictures")
        self.source_shape = self.picture_shape(min(columns) - 1, options)
        channels = self.source_shape[2]
        brightest = self.look_through()
        if not self.labels.size:
            raise DataError(f"{self.files[0].where} holds no rows but the names of its columns: name another file")
        self.factor = 255 if brightest <= 1 else 1
        if self.factor == 255:
            announce("pixels are 0 to 1: they are multiplied by 255")
        self.is_test = np.repeat([False, True], self.counts) if len(self.files) == 2 else None
        grey, size = options.grey or channels == 1, options.size or self.source_shape[:2]
        self.shape = (1 if grey else channels, *size)
        self.preparation = {"size": list(size), "grey": grey, "invert": options.invert}

    def picture_shape(self, count, options):
        """(rows, columns, channels) of a picture of `count` numbers; sets `channels_first`.  Raises DataError."""
        where, shape = self.files[0].where, options.shape
        if not count:
            raise DataError(f"{where} has one column: divide the numbers of a row by commas, semicolons or tabs")
        side = math.isqrt(count)
        if not shape and side * side != count:
            raise DataError(f"{where} has {count:,} pixels in a row, which are no square: give --shape "
                            "ROWS,COLUMNS,CHANNELS, or --shape CHANNELS,ROWS,COLUMNS where one channel follows the "
                            "other; --label names the column of the labels")
        shape = shape or (side, side)
        if math.prod(shape) != count:
            raise DataError(f"{where} has {count:,} pixels in a row, --shape has {math.prod(shape):,}: give another")
        self.channels_first = len(shape) == 3 and shape[0] <= 4 < shape[2]
        shape = (*shape[1:], shape[0]) if self.channels_first else (*shape, 1)[:3]
        if shape[2] > 4 or min(shape[:2]) < 5 or options.grey and shape[2] not in (1, 3):
            raise DataError(f"{where}: pictures of {shape[0]} x {shape[1]} pixels in {shape[2]} channels are not "
                            f"packed{' with --grey' if options.grey else ''}: at least 5 x 5, and 1 to 4 channels, "
                            "1 or 3 to be made grey")
        return shape

    def look_through(self):
        """Read all once: set labels, classes, counts and lines, find bad rows. Returns the largest pixel."""
        found, labels, self.lines, self.counts, brightest = {}, [], [], [], 0
        for file in self.files:
            progress, before = Progress(f"looking at {file.path.name}", "rows"), len(labels)
            for lines, words, pixels in file.blocks():
                self.lines += lines
                self.refuse_rows(file, len(labels), words, pixels)
                brightest = max(brightest, float(np.nanmax(pixels[np.isfinite(pixels)], initial=0)))
                labels += [found.setdefault(word, len(found)) for word in words]
                if len(found) > MOST_CLASSES:
                    raise DataError(f"{file.where}: column {file.label + 1} holds more than {MOST_CLASSES:,} different "
                                    "labels: name the column of the labels with --label")
                progress.show(len(labels) - before, 0)
            progress.clear()
            self.counts.append(len(labels) - before)
        self.classes = tuple(sorted(found, key=in_order))
        number = np.array([self.classes.index(word) for word in found], np.int64)
        self.labels = number[np.array(labels, np.int64)]
        return brightest

    def refuse_rows(self, file, first, words, pixels):
        """Notes the rows of a block that cannot be used.  first: the number of its first sample."""
        good = ((pixels >= 0) & (pixels <= 255)).all(axis=1)
        for i, (word, numbers) in enumerate(zip(words, good), first):
            wrong = (f"it does not hold {pixels.shape[1]:,} numbers of 0 to 255 beside its label" if not numbers else
                     "it has no label" if not word else
                     f"its label has {len(word):,} characters: at most {LONGEST_LABEL}" * (len(word) > LONGEST_LABEL))
            if wrong:
                self.refused.add(i)
                self.problems.add(f"{file.where} line {self.lines[i]}", wrong)

    def name(self, i):
        return f"{self.files[len(self.counts) == 2 and i >= self.counts[0]].where} line {self.lines[i]}"

    def samples(self):
        i, (rows, columns, channels) = 0, self.source_shape
        for file in self.files:
            for _, words, pixels in file.blocks():
                for picture in pixels:
                    if i in self.refused:
                        yield None
                    elif self.factor == 1 and (picture != np.floor(picture)).any():
                        self.problems.add(self.name(i), "its pixels are neither whole numbers to 255 nor numbers to 1")
                        yield None
                    else:
                        picture = np.rint(picture * self.factor).astype(np.uint8)
                        picture = (picture.reshape(channels, rows, columns).transpose(1, 2, 0) if self.channels_first
                                   else picture.reshape(rows, columns, channels))
                        yield of_pixels(picture, self.preparation)
                    i += 1
