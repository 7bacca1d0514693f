"""The IDX file format of MNIST: bytes to arrays and back, plain or gzipped.

An IDX file is a header and the elements in C order. Header, big-endian: two zero bytes, one byte for the
element type, one for the number of dimensions, then each dimension as a 32-bit unsigned integer.
Source: the format note on the MNIST page of LeCun, Cortes and Burges.

Left out: every element type but unsigned byte (0x08), the only one MNIST and its relatives use.

Reading is strict, since these files come from networks and old disks: the length must be exactly what the
header says, and a gzip stream is never inflated further than that length and one byte. Errors say what is
wrong with which file; how to mend it is added by the caller, who knows whose file it is.
"""

import gzip
import io
import struct
import zlib

import numpy as np

from zo_numpy.samples import DataError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 1 << 28     # a header that promises more is corrupt: the largest file of MNIST has 47 MB


def encode(array):
    """Return the IDX bytes of `array` (any shape, uint8). Raises ValueError on another dtype."""
    if array.dtype != np.uint8:
        raise ValueError(f"IDX is written from uint8 only, not {array.dtype}")
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()


def decode(data, ndim, where):
    """Return the array in `data` (uncompressed IDX bytes): read-only uint8, of `ndim` dimensions.

    Raises DataError, naming `where`, unless magic, number of dimensions and length are exactly right.
    """
    shape = _header_shape(data, ndim, where)
    expected = _header_size(ndim) + _elements(shape)
    if len(data) != expected:
        problem = "is truncated" if len(data) < expected else "has bytes after its end"
        raise DataError(f"{where} {problem}: its header promises {expected} bytes, it has {len(data)}")
    return np.frombuffer(data, np.uint8, offset=_header_size(ndim)).reshape(shape)


def unpack(data, ndim, where, max_bytes=MAX_BYTES):
    """Return the uncompressed bytes of an IDX file, given plain or gzipped: what `decode` takes.

    max_bytes: the header may not promise a longer file. Raises DataError, naming `where`, on all that
    `decode` refuses and on a gzip stream that is corrupt, cut off, too long, or followed by other bytes.
    """
    if data[:2] == GZIP_MAGIC:
        data = _inflate(data, ndim, where, max_bytes)
    elif len(data) > max_bytes:
        raise DataError(f"{where} is too large: {len(data)} bytes where at most {max_bytes} are expected")
    decode(data, ndim, where)
    return data


def compress(data):
    """Return `data` gzipped, the same bytes on every run: no time stamp, no file name, highest level."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def largest_gzip(size):
    """A bound on the length of a gzip file of `size` bytes: data that does not compress grows a little."""
    return size + size // 1000 + 1024


def _inflate(data, ndim, where, max_bytes):
    """The content of a gzip file. It may have several members, and zeros after the last, as tapes leave them."""
    stream, length = gzip.GzipFile(fileobj=io.BytesIO(data)), _header_size(ndim)
    try:
        header = stream.read(length)
        expected = length + _elements(_header_shape(header, ndim, where))
        if expected > max_bytes:
            raise DataError(f"{where} is too large: its header promises {expected} bytes where at most "
                            f"{max_bytes} are expected")
        # The one byte too many shows a stream that is longer than its header says; without such a byte the
        # call goes on to the end of the stream and checks the CRC there.
        body = stream.read(expected - length + 1)
    except EOFError:
        raise DataError(f"{where} is a truncated gzip file") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{where} is a corrupt gzip file ({error})") from None
    if length + len(body) > expected:
        raise DataError(f"{where} has bytes after its end: its header promises {expected} bytes, the gzip "
                        "stream holds more")
    if length + len(body) < expected:
        raise DataError(f"{where} is a truncated gzip file: {length + len(body)} of {expected} bytes come out")
    return header + body


def _header_size(ndim):
    return 4 + 4 * ndim


def _header_shape(data, ndim, where):
    """The dimensions that the header at the start of `data` states."""
    magic = struct.pack(">HBB", 0, UNSIGNED_BYTE, ndim)
    if data[:4] != magic[:len(data[:4])]:
        raise DataError(f"{where} is not an IDX file of unsigned bytes in {ndim} dimension(s): it starts "
                        f"with {data[:4].hex()} where {magic.hex()} is expected")
    if len(data) < _header_size(ndim):
        raise DataError(f"{where} is truncated: its header alone has {_header_size(ndim)} bytes, "
                        f"it has {len(data)}")
    return struct.unpack(f">{ndim}I", data[4:_header_size(ndim)])


def _elements(shape):
    """Number of elements: a product of Python integers, which a hostile header cannot overflow."""
    count = 1
    for size in shape:
        count *= size
    return count
