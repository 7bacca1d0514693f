"""The arrays of an .npz file that may be larger than memory: members stored uncompressed are mapped, others are read.

Read with distrust, like npy.py: nothing is unpickled, a header is believed as far as the member's length bears it out,
and checksums are compared before an array is handed out.
"""
import math
import mmap
import os
import struct
import zipfile
from typing import NamedTuple

import numpy as np

from .npy import LARGEST_FILE, MOST_MEMBERS, read_array, read_header

CHUNK = 1 << 22             # bytes read at a time
LET_GO = 1 << 26            # bytes of a mapped file that are in memory before it is given back
READ_AROUND = 1 << 21       # bytes that a system may map around each place that is read
LARGEST_TEXT = 1 << 20      # bytes of a member that is text
LOCAL_HEADER = struct.Struct("<4s22x2H")   # of a zip's member: signature, lengths of its name and of what follows that


class _Member(NamedTuple):
    """One array of an .npz file, described but not read."""
    path: object            # of the file
    info: zipfile.ZipInfo
    shape: tuple
    fortran: bool
    dtype: np.dtype
    header: int             # bytes of the member before those of the array

    def array(self):
        """The array, read-only: a _Mapped where it is stored in C order, else in memory.

        Raises OSError, ValueError, MemoryError, or what zipfile raises where the bytes are damaged.
        """
        with open(self.path, "rb") as file, zipfile.ZipFile(file) as archive, archive.open(self.info) as content:
            if self.info.compress_type == zipfile.ZIP_STORED and not self.fortran and math.prod(self.shape):
                while content.read(CHUNK):   # to the end, where the checksum is compared
                    pass
                return _Mapped(self.path, self.dtype, "r", _stored_from(file, self.info) + self.header, self.shape)
            if self.info.file_size > LARGEST_FILE:
                raise ValueError(f"it has {self.info.file_size / 1e9:.1f} GB and cannot be mapped; save it by "
                                 "np.savez, in C order")
            array = np.ascontiguousarray(read_array(content, self.info.file_size))
        array.setflags(write=False)
        return array

    def text(self):
        """The array of text, (K,) or (), as a list of K texts or of one.  Raises as `array` does."""
        with zipfile.ZipFile(self.path) as archive, archive.open(self.info) as content:
            data = content.read(LARGEST_TEXT + 1)[self.header:]
        if self.dtype.kind not in "US" or len(data) != math.prod(self.shape) * self.dtype.itemsize or not data:
            raise ValueError("it is no text, or too long")
        texts = np.frombuffer(data, self.dtype).tolist()
        return [text.decode("utf-8") if isinstance(text, bytes) else text for text in texts]


def members(path):
    """{name: _Member} of an .npz file; None for what is no array.

    Raises OSError, ValueError, or whatever zipfile and NumPy raise for damaged bytes.
    """
    found = {}
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len({info.filename for info in infos}) < len(infos) or len(infos) > MOST_MEMBERS:
            raise ValueError("a name stands twice, or there are too many")
        for info in infos:
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"it packs {info.filename[:60]} in an unknown way")
            if not info.filename.endswith(".npy"):
                found[f"{info.filename} (no array)"] = None
                continue
            with archive.open(info) as content:
                found[info.filename.removesuffix(".npy")] = _Member(path, info, *read_header(content), content.tell())
    return found


def _stored_from(file, info):
    """Where the bytes of a stored member begin in an open file.  Raises ValueError if they cannot be there."""
    file.seek(info.header_offset)
    signature, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    start = info.header_offset + LOCAL_HEADER.size + name + extra
    if signature != b"PK\3\4" or start + info.file_size > os.fstat(file.fileno()).st_size:
        raise ValueError("it is not where the archive says")
    return start


class _Mapped(np.memmap):
    """An array in a file, read when it is indexed. Memory that holds what was read is given back at once, as soon as it
    may be LET_GO bytes, so that a process that goes through a large file again and again stays small. What an array of
    row numbers takes out, and what arithmetic makes, is a plain array in memory.
    """
    touched = 0   # bytes that may be in memory since it was last given back

    def __getitem__(self, index):
        if self._mmap is not None and isinstance(index, np.ndarray) and index.ndim == 1 and index.dtype.kind in "iu":
            return self.rows(index)
        part = super().__getitem__(index)
        if self._mmap is None or not isinstance(part, np.ndarray):
            return part
        self.touch(part.nbytes + READ_AROUND)
        return part if part._mmap is not None else part.view(np.ndarray)

    def rows(self, numbers):
        """Copies of some rows, in C order."""
        out = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        some = max(1, LET_GO // (math.prod(out.shape[1:]) * self.itemsize + READ_AROUND))
        for start in range(0, len(numbers), some):
            part = numbers[start:start + some]
            out[start:start + some] = super().__getitem__(part).view(np.ndarray)
            self.touch(LET_GO)
        return out

    def touch(self, size):
        """Counts bytes that are read now; what was read before is no longer needed in memory."""
        if self.touched + size > LET_GO and hasattr(mmap, "MADV_DONTNEED"):
            self._mmap.madvise(mmap.MADV_DONTNEED)   # of a file that is only read: nothing is lost
            self.touched = 0
        self.touched += size

    def __array_wrap__(self, array, context=None, return_scalar=False):
        array = np.asarray(array)
        return array[()] if array.ndim == 0 else array


def chunks(array):
    """Slices that cut an array's first axis into parts of some megabytes."""
    rows = max(1, CHUNK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield slice(start, start + rows)
