"""Pictures and clouds that a user gives to `predict`, as the numbers a network takes: prepared as the run's data were.

Pictures are PNG, JPEG, BMP and GIF of any size, or .npy of one picture or several, with or without an axis of channels.
Clouds are .npy of one or several, or one mesh or cloud as `python -m datasets.pack` reads it.
"""
import io
import struct
import zlib

import numpy as np

from ..clouds import FARTHEST, RADIUS, chosen, scaled
from ..errors import UserError, why
from ..files import read_bounded
from ..npy import read_npy
from ..preparation import MOST_PIXELS, of_pixels, open_picture, prepared
from ..run.own_samples import as_bytes, channels_first
from .beside import module_beside

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")   # the chunks that decide what a picture shows
TEXTS = (".off", ".txt", ".xyz")
LARGEST_PICTURE = 1 << 26   # bytes of a file, a camera's notes included
INFLATED = 1 << 20          # bytes of a PNG's pixels that are unpacked at a time when they are checked


def as_it_is(shape):
    """The preparation of data of which nothing is known but the shape of a sample, (C, H, W)."""
    return {"size": list(shape[1:]), "grey": shape[0] == 1, "invert": False}


def read_image(path, shape, preparation=None, said=None):
    """(N, *shape) uint8 from a picture or an .npy file.  path: a pathlib.Path.  shape: (channels, height, width).

    preparation: see preparation.py; none: of the size alone, grey where there is one channel.
    said: a list to which what was done to the picture is appended, in words.
    Raises UserError naming the file and what it should be. Nothing is unpickled.
    """
    preparation, said = preparation or as_it_is(shape), [] if said is None else said
    channels, height, width = shape
    wanted = (f"a PNG, JPEG, BMP or GIF picture, or .npy of one or several, such as uint8 ({height}, {width}) or "
              f"(N, {height}, {width}, {channels})")
    if channels in (2, 4) and path.suffix.lower() != ".npy":
        raise UserError(f"{path}: the run takes {channels} channels, and a picture is read as 1 or 3; give an .npy of "
                        f"uint8 ({height}, {width}, {channels})")
    try:
        images = (_of_array(read_npy(path), path, shape, preparation, said) if path.suffix.lower() == ".npy" else
                  _of_picture(read_bounded(path, LARGEST_PICTURE), preparation, said)[None])
        if images.shape[1:] != shape:
            raise ValueError(f"it has {images.shape[1]} channels where the run takes {channels}")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give {wanted}") from None
    except Exception as error:   # Pillow and NumPy each raise their own for damaged bytes
        raise UserError(f"{path} cannot be read ({_reason(error, path)}); give {wanted}") from None
    return images


def _reason(error, path):
    """Why a file cannot be read, on one line."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is no picture of these kinds"
    return why(error).removeprefix(f"{path} ")


def _of_picture(content, preparation, said):
    """(C, H, W) uint8 of a picture file's bytes.  Raises what Pillow raises, and ValueError."""
    if content.startswith(PNG_SIGNATURE):
        content = _sound_png(content)
    with open_picture(io.BytesIO(content)) as picture:
        _say_what(said, picture.size[::-1], 1 if picture.mode in ("1", "L", "LA", "I", "I;16") else 3, preparation)
        return prepared(picture, preparation)


def _of_array(array, path, shape, preparation, said):
    """(N, C, H, W) uint8 of an array of one picture or several.  Raises ValueError, DataError."""
    channels, *sides = shape
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape != (len(array), *sides) and array.shape[2] in (1, 2, 3, 4):
        array = array[None]                       # rows, columns, channels
    elif array.ndim == 3 and len(array) in (1, channels):
        array = array[None]                       # channels, rows, columns, of any size
    if not array.size:
        raise ValueError("it holds no picture")
    images = channels_first(array, path)
    images = as_bytes([images], [path], lambda line: said.append(line.rpartition(": ")[2]))[0]
    _say_what(said, images.shape[2:], images.shape[1], preparation)
    return np.stack([of_pixels(image.transpose(1, 2, 0), preparation) for image in images])


def _say_what(said, sides, channels, preparation):
    """Appends what a preparation does to a picture of `sides` (rows, columns) and so many channels."""
    if tuple(sides) != tuple(preparation["size"]):
        (rows, columns), (new_rows, new_columns) = sides, preparation["size"]
        said.append(f"{columns} x {rows} made {new_columns} x {new_rows}")
    if preparation["grey"] and channels == 3:
        said.append("made grey")
    if preparation["invert"]:
        said.append("inverted")


def read_clouds(path, points, preparation=None, said=None):
    """(N, points, 3) float32 from an .npy file of a cloud (P, 3) or several (N, P, 3), P at least `points`, or from a
    text of a cloud (.txt, .xyz) or a mesh (.off), of which as many points are taken as the data were packed with.

    Of more points, those at even steps are taken.  preparation, said: as of `read_image`.
    Raises UserError naming the file and what it should be.
    """
    said = [] if said is None else said
    wanted = (f"an .npy file of floats, (points, 3) or (clouds, points, 3), at least {points} points, or one cloud as "
              ".off, .txt or .xyz")
    try:
        clouds = (_of_text(path, max(points, preparation["points"] if preparation else 0), said)
                  if path.suffix.lower() in TEXTS else read_npy(path))
    except UserError:   # without the readers
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give {wanted}") from None
    except Exception as error:   # damaged headers raise many kinds
        raise UserError(f"{path} is not {wanted} ({' '.join(str(error).split())[:80]}); convert it first") from None
    if clouds.ndim not in (2, 3) or clouds.shape[-1] != 3 or clouds.dtype.kind != "f" or \
            clouds.shape[-2] < points or not len(clouds):
        raise UserError(f"{path} holds {clouds.dtype} {clouds.shape}; give {wanted}")
    clouds = clouds.reshape(-1, *clouds.shape[-2:])
    if clouds.shape[1] > points:
        said.append(f"{points:,} of {clouds.shape[1]:,} points")
    with np.errstate(over="ignore"):   # to an infinity, which is refused
        if preparation:   # first as many as the data were packed with
            packed = max(points, min(preparation["points"], clouds.shape[1]))
            clouds = clouds[:, chosen(clouds.shape[1], packed)]
            if preparation["scale"] and (np.abs(clouds) <= FARTHEST).all():
                clouds = scaled(clouds)
                said.append("scaled into the unit sphere")
        clouds = clouds[:, chosen(clouds.shape[1], points)].astype(np.float32)
    if not np.isfinite(clouds).all() or np.square(clouds.astype(np.float64)).sum(axis=2).max() > RADIUS**2:
        raise UserError(f"{path} has points outside the unit sphere, or that are no numbers; centre each cloud and "
                        "scale it into the unit sphere")
    return clouds


def _of_text(path, points, said):
    """(P, 3) float64 of a mesh or a text of coordinates.  points: to take of a mesh.  Raises what readers raise."""
    shapes = module_beside("datasets.packing.shapes", f"reading {path}")
    content = read_bounded(path, shapes.MOST_BYTES)
    if path.suffix.lower() != ".off":
        return shapes.read_rows(content)
    said.append(f"{points:,} points on its surface")
    return shapes.on_surface(*shapes.read_off(content), points, seed=0, number=0)


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


def _sound_png(content):
    """The PNG again with nothing but the chunks that decide its pixels, all checksums compared.

    Pillow compares neither the checksum of pixels nor what follows them. Raises ValueError saying what is wrong.
    """
    kept, pixels = [PNG_SIGNATURE], []
    for name, chunk in png_chunks(content):
        if len(kept) == 1:   # the first
            width, height = struct.unpack_from(">2I", chunk, 8) if name == b"IHDR" and len(chunk) == 25 else (0, 0)
            if not 0 < width * height <= MOST_PIXELS:
                raise ValueError(f"it has {width} x {height} pixels")
        if name in PNG_PIXELS:
            kept.append(chunk)
        if name == b"IDAT":
            pixels.append(chunk[8:-4])
    _check_pixels(b"".join(pixels), height, width)
    return b"".join(kept)


def _check_pixels(packed, height, width):
    """Refuses pixels that do not inflate to the end, where their checksum is, or to more than an image may have."""
    inflate = zlib.decompressobj()
    # A row is a byte and at most 8 bytes a pixel; twice as much, since an interlaced image has more rows.
    left = 2 * height * (1 + 8 * width)
    while left > 0 and packed and not inflate.eof:
        left -= len(inflate.decompress(packed, min(left, INFLATED)))
        packed = inflate.unconsumed_tail
    if not inflate.eof or inflate.unused_data:
        raise ValueError("its pixels are cut off, or too many")
