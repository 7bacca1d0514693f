"""NumPy's files, .npy and .npz, read with distrust: a header is believed only as far as the file's length bears it out.

Nothing is unpickled, nothing is inflated, and no more memory is taken than the file is long. Left out: structured
types, and archives that are compressed, which nothing here writes.
"""
import math
import os
import warnings
import zipfile

import numpy as np

LARGEST_FILE = 1 << 30    # bytes
MOST_MEMBERS = 1000       # of an .npz


def read_header(file):
    """(shape, whether in Fortran order, dtype) of an open .npy file, which is then at its array.

    Raises ValueError, or whatever else a damaged header makes NumPy raise.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # of Python's parser, about a header that is not as NumPy writes it
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise ValueError(f"format version {version} is unknown")
        return readers[version](file)


def read_array(file, length):
    """The array of an open .npy file that has `length` bytes from where it stands to its end.

    Raises ValueError unless it holds numbers and ends where its header says.
    """
    start = file.tell()
    shape, fortran, dtype = read_header(file)
    if dtype.kind not in "biufc":
        raise ValueError(f"it holds {str(dtype)[:40]}, no numbers")
    expected, found = math.prod(shape) * dtype.itemsize, length - (file.tell() - start)
    if expected != found or found > LARGEST_FILE:
        raise ValueError(f"its header promises {str(expected)[:20]} bytes of data, it has {found}")
    data = bytearray(file.read(expected + 1))   # one more shows that there is none: a zip's checksum is compared there
    if len(data) != expected:
        raise ValueError("it is cut off")
    array = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def read_npy(path):
    """The array of an .npy file.  Raises OSError, ValueError, or what a damaged header makes NumPy raise."""
    with open(path, "rb") as file:
        return read_array(file, os.fstat(file.fileno()).st_size)


def read_npz(path):
    """{name: array} of an .npz file that is not compressed.

    Raises OSError, ValueError, or whatever else zipfile and NumPy raise for damaged bytes.
    """
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        length, members = os.fstat(file.fileno()).st_size, archive.infolist()
        names = {member.filename.removesuffix(".npy") for member in members}
        if len(names) < len(members) or len(members) > MOST_MEMBERS:
            raise ValueError("a name stands twice, or there are too many")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) or \
                sum(member.file_size for member in members) > min(length, LARGEST_FILE):
            raise ValueError("it is compressed, or too large")
        arrays = {}
        for member in members:
            with archive.open(member) as content:
                arrays[member.filename.removesuffix(".npy")] = read_array(content, member.file_size)
        return arrays
