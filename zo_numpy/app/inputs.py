"""Images and clouds that a user gives to `predict`: PNG and .npy files, as the numbers a network takes.

Left out: scaling and cropping, which decide what a network sees and are the user's business, and other formats.
"""
import io
import struct
import zlib

import numpy as np

from ..clouds import RADIUS, chosen
from ..errors import UserError, why
from ..files import read_bounded
from ..npy import read_npy
from .drawing import own_settings

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")   # the chunks that decide what a picture shows
LARGEST_PNG = 1 << 24   # bytes, a camera's notes included


def read_image(path, shape):
    """(N, *shape) uint8 from a PNG or an .npy file.  path: a pathlib.Path.  shape: (1, height, width).

    Raises UserError naming the file and what it should be. Nothing is unpickled.
    """
    size = shape[1:]
    wanted = "a PNG of {1} x {0} pixels, or .npy of uint8 ({0}, {1}) or (N, {0}, {1})".format(*size)
    try:
        image = read_npy(path) if path.suffix == ".npy" else _read_png(read_bounded(path, LARGEST_PNG), size)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give {wanted}") from None
    except Exception as error:   # Pillow and NumPy each raise their own for damaged bytes
        raise UserError(f"{path} cannot be read ({why(error)}); give {wanted}") from None
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[-2:] != size or image.size == 0:
        raise UserError(f"{path} holds {image.dtype} of shape {image.shape}; give {wanted}")
    return image.reshape(-1, *shape)


def read_clouds(path, points):
    """(N, points, 3) float32 from an .npy file of a cloud (P, 3) or several (N, P, 3), P at least `points`.

    Of more points, those at even steps are taken. Raises UserError naming the file and what it should be.
    """
    wanted = f"an .npy file of floats, (points, 3) or (clouds, points, 3), at least {points} points"
    try:
        clouds = read_npy(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give {wanted}") from None
    except Exception as error:   # damaged headers raise many kinds
        raise UserError(f"{path} is not {wanted} ({' '.join(str(error).split())[:80]}); convert it first") from None
    if clouds.ndim not in (2, 3) or clouds.shape[-1] != 3 or clouds.dtype.kind != "f" or \
            clouds.shape[-2] < points or not len(clouds):
        raise UserError(f"{path} holds {clouds.dtype} {clouds.shape}; give {wanted}")
    clouds = clouds.reshape(-1, *clouds.shape[-2:])
    with np.errstate(over="ignore"):   # to an infinity, which is refused
        clouds = clouds[:, chosen(clouds.shape[1], points)].astype(np.float32)
    if not np.isfinite(clouds).all() or np.square(clouds.astype(np.float64)).sum(axis=2).max() > RADIUS**2:
        raise UserError(f"{path} has points outside the unit sphere, or that are no numbers; centre each cloud and "
                        "scale it into the unit sphere")
    return clouds


def _read_png(content, size):
    """(height, width) uint8 from the bytes of a PNG of any kind: colours averaged, what is transparent laid on white.

    size: the (height, width) it must have; otherwise ValueError, before a pixel is unpacked.
    """
    sound = io.BytesIO(_sound_png(content, size))
    with own_settings():
        import matplotlib.image   # takes its time, and only a PNG needs it
        image = matplotlib.image.imread(sound, format="png")
    image = np.atleast_3d(image)                            # (height, width, 1..4) float32 in 0..1
    colours = image.shape[2] - (image.shape[2] % 2 == 0)    # of 2 and 4, the last one is opacity
    grey = image[..., :colours].mean(axis=2)
    if colours < image.shape[2]:
        opacity = image[..., -1]
        grey = grey * opacity + (1 - opacity)
    return (grey * 255).round().astype(np.uint8)


def png_chunks(content):
    """(name, the whole chunk, checksum included) of each chunk of a PNG.  Raises ValueError where it is not sound."""
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError("it is no PNG")
    place, name = len(PNG_SIGNATURE), None
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", content, place) if place + 8 <= len(content) else (0, b"")
        chunk = content[place:place + 12 + length]
        if len(chunk) < 12 + length:
            raise ValueError("it is cut off")
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise ValueError(f"the checksum of its chunk {name!r} is wrong")
        yield name, chunk
        place += len(chunk)
    if place != len(content):
        raise ValueError("it has bytes after its end")


def _sound_png(content, size):
    """The PNG again with nothing but the chunks that decide its pixels, all checksums compared.

    Pillow compares neither the checksum of pixels nor what follows them. Raises ValueError saying what is wrong.
    """
    kept, pixels = [PNG_SIGNATURE], []
    for name, chunk in png_chunks(content):
        if len(kept) == 1:   # the first
            width, height = struct.unpack_from(">2I", chunk, 8) if name == b"IHDR" and len(chunk) == 25 else (0, 0)
            if (height, width) != size:
                raise ValueError(f"it has {width} x {height} pixels")
        if name in PNG_PIXELS:
            kept.append(chunk)
        if name == b"IDAT":
            pixels.append(chunk[8:-4])
    _check_pixels(b"".join(pixels), size)
    return b"".join(kept)


def _check_pixels(packed, size):
    """Refuses pixels that do not inflate to the end, where their checksum is, or to more than an image may have."""
    height, width = size
    inflate = zlib.decompressobj()
    # A row is a byte and at most 8 bytes a pixel; twice as much, since an interlaced image has more rows.
    inflate.decompress(packed, 2 * height * (1 + 8 * width))
    if not inflate.eof or inflate.unused_data:
        raise ValueError("its pixels are cut off, or too many")
