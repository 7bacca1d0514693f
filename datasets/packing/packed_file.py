"""The packed file: an .npz of uncompressed members, written in bounded memory and only at its end under its name.

Samples arrive in the source's order and may go anywhere in their part, so each part is written to a file of its own
first, and the two are joined: on the disk there must be room for the samples twice.
"""

import contextlib
import os
import zipfile

import numpy as np

from datasets.progress import Progress
from zo_numpy.files import scratch_folder
from zo_numpy.preparation import as_text
from zo_numpy.samples import label_type
from zo_numpy.system import sync

CHUNK = 1 << 22
PARTS = ("train", "test")


class PackedFile:
    """Use as a context: `put` the samples, then `finish`; what is not finished leaves nothing.  Raises OSError."""

    def __init__(self, path, reader):
        self.path, self.reader = path, reader
        self.size = int(np.prod(reader.shape)) * reader.dtype.itemsize
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.scratch = stack.enter_context(scratch_folder(self.path))
            self.files = [stack.enter_context(open(self.scratch / part, "w+b", buffering=0)) for part in PARTS]
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    def put(self, part, row, sample):
        """Writes a sample as row `row` of part 0 (training) or 1 (test)."""
        file = self.files[part]
        file.seek(row * self.size)
        file.write(sample.astype(sample.dtype.newbyteorder("<"), copy=False).tobytes())

    def finish(self, labels):
        """Makes the file.  labels: those of both parts, in order of their rows."""
        reader, joined = self.reader, self.scratch / "joined"
        with zipfile.ZipFile(joined, "x") as archive:
            small = {"classes": np.array(reader.classes), "preparation": np.array(as_text(reader.preparation))}
            for part, y in zip(PARTS, labels):
                small[f"y_{part}"] = y.astype(label_type(len(reader.classes)))
            for name, array in small.items():
                with member(archive, name, array.shape, array.dtype) as target:
                    target.write(array.tobytes())
            for part, file, y in zip(PARTS, self.files, labels):
                self.join(archive, part, file, len(y))
        with open(joined, "rb") as file:
            sync(file)
        os.replace(joined, self.path)

    def join(self, archive, part, file, count):
        """Appends the samples of a part to the archive."""
        progress, done = Progress(f"writing x_{part}"), 0
        file.seek(0)
        with member(archive, f"x_{part}", (count, *self.reader.shape), self.reader.dtype) as target:
            while content := file.read(CHUNK):
                target.write(content)
                done += len(content)
                progress.show(done, count * self.size)
        progress.clear()


@contextlib.contextmanager
def member(archive, name, shape, dtype):
    """A new member of a zip archive, open for writing after the .npy header of an array."""
    info = zipfile.ZipInfo(f"{name}.npy")   # of 1980, so that equal data make equal files
    with archive.open(info, "w", force_zip64=True) as target:
        np.lib.format.write_array_header_1_0(target, {"descr": dtype.newbyteorder("<").str, "fortran_order": False,
                                                      "shape": shape})
        yield target
