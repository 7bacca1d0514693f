"""Clouds in ModelNet's layout of HDF5 files (datasets/modelnet.py), to choose their points or bring them to scale."""

import numpy as np

from datasets import POINTS
from datasets.hdf5 import read_files
from datasets.modelnet import LISTS, NAMES, in_any_case, listed, read_names
from datasets.packing.shapes import fitted
from zo_numpy.files import short
from zo_numpy.samples import DataError


class ModelNetClouds:
    """A reader, see datasets/packing. The files are read twice, first for the labels."""

    dtype = np.dtype(np.float32)
    mend = "mend or remove them; --scale brings clouds into the unit sphere"

    def __init__(self, folder, options, problems, announce):
        self.problems, self.options = problems, options
        self.classes = read_names(in_any_case(folder, NAMES))
        parts = [listed(folder, listing) for listing in LISTS]
        self.files = [path for part in parts for path in part]
        labels = [labels for _, labels in read_files(self.files, 1)]
        self.labels, counts = np.concatenate(labels), list(map(len, labels))
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        self.first = np.cumsum([0, *counts])
        if wrong.size:
            raise DataError(f"{self.name(wrong[0])} has label {self.labels[wrong[0]]} where {NAMES} names "
                            f"{len(self.classes)} classes: mend the label or the names")
        self.is_test = np.arange(len(self.labels)) >= self.first[len(parts[0])]
        points = options.points or POINTS
        self.shape = (points, 3)
        self.preparation = {"points": points, "scale": options.scale}

    def name(self, i):
        file = int(np.searchsorted(self.first, i, side="right")) - 1
        return f"{short(self.files[file])} cloud {i - self.first[file]}"

    def samples(self):
        i = 0
        for clouds, _ in read_files(self.files, self.shape[0]):
            for cloud in clouds:
                try:
                    yield fitted(cloud, self.options.scale)
                except ValueError as error:
                    self.problems.add(self.name(i), error)
                    yield None
                i += 1
