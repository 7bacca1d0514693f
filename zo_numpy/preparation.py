"""What is done to a user's picture or cloud before a network sees it: when it is packed, and when `predict` reads a new
one. A preparation is a dict that JSON can hold, kept in the packed file:

    images   {"size": [rows, columns], "grey": bool, "invert": bool}     grey pictures have 1 channel, others 3
    clouds   {"points": P, "scale": bool}

Pictures are read by Pillow: PNG, JPEG, BMP and GIF (of several frames the first), turned as the camera says. What is
transparent is laid on white; grey is the mean of the colours; 16 bits become 8. A picture of another size is resized
to the whole of the new one, proportions not kept, by Pillow's antialiased bilinear filter, before it is made grey.
"""
import json
import warnings

import numpy as np

from .files import strict_json

FORMATS = ("PNG", "JPEG", "BMP", "GIF")
KINDS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")   # of file names
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")   # of Pillow
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)   # a camera's note, and what it says of a picture that lies on its side
MOST_PIXELS = 1 << 26   # of a picture before it is resized
DRAFT = 4   # times the sides it is resized to: a JPEG is unpacked to no fewer pixels than that, where it has them


def open_picture(file):
    """A picture whose pixels are not read yet, as Pillow's Image.  file: a path or an open binary file.

    Raises OSError, ValueError, or what else damaged bytes make Pillow raise.
    """
    from PIL import Image   # takes its time, and only pictures need it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # of many pixels, which are refused here, and of a camera's odd notes
        picture = Image.open(file, formats=FORMATS)
    if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(f"it has {picture.width:,} x {picture.height:,} pixels")
    return picture


def picture_size(picture):
    """(rows, columns) of an Image once it is turned as the camera says."""
    sideways = picture.format == "JPEG" and picture.getexif().get(ORIENTATION) in SIDEWAYS
    return (picture.width, picture.height) if sideways else (picture.height, picture.width)


def prepared(picture, preparation):
    """(C, H, W) uint8 of an Image, as a preparation of images says.  Raises what Pillow raises for damaged pixels."""
    from PIL import Image, ImageOps

    rows, columns = preparation["size"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if picture.format == "JPEG":   # a photograph that becomes small is not unpacked whole
            picture.draft(None, 2 * (DRAFT * max(rows, columns),))
            picture = ImageOps.exif_transpose(picture)
        picture.load()
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.clip(np.asarray(picture), 0, 65535) >> 8).astype(np.uint8))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode != "L":
        picture = picture.convert("RGB")
    if picture.size != (columns, rows):
        picture = picture.resize((columns, rows), Image.Resampling.BILINEAR)
    return of_pixels(np.asarray(picture).reshape(picture.height, picture.width, -1), preparation)


def of_pixels(pixels, preparation):
    """(C, H, W) uint8 of (rows, columns, C') uint8, as a preparation says."""
    if preparation["grey"] and pixels.shape[2] == 3:
        pixels = ((pixels.sum(axis=2, dtype=np.uint16) + 1) // 3).astype(np.uint8)[:, :, None]   # rounded: no ties
    elif not preparation["grey"] and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.shape[:2] != tuple(preparation["size"]):
        pixels = _resized(pixels, *preparation["size"])
    return np.ascontiguousarray((~pixels if preparation["invert"] else pixels).transpose(2, 0, 1))


def _resized(pixels, rows, columns):
    """Pixels (H, W, C) uint8 in another size, a channel at a time."""
    from PIL import Image

    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, channel])) for channel in range(pixels.shape[2])]
    return np.stack([np.asarray(plane.resize((columns, rows), Image.Resampling.BILINEAR)) for plane in planes], axis=2)


def as_text(preparation):
    """A preparation as the file keeps it: JSON on one line."""
    return json.dumps(preparation, sort_keys=True)


def from_text(text, shape):
    """The preparation in a text.  shape: of a prepared sample, (C, H, W) or (P, 3).  Raises ValueError."""
    value, images = strict_json(text.encode()), len(shape) == 3
    flags, measure = (("grey", "invert"), "size") if images else (("scale",), "points")
    wanted = list(shape[1:]) if images else shape[0]
    if type(value) is not dict or set(value) != {measure, *flags} or {type(value[flag]) for flag in flags} != {bool}:
        raise ValueError(f"it does not hold {measure}, {', '.join(flags)}")
    if value[measure] != wanted and (images or not type(value[measure]) is int or value[measure] < wanted):
        raise ValueError(f"its {measure} is {value[measure]}, that of the samples {wanted}")
    return value
