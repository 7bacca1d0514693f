"""Images that a user gives to `predict`: PNG and .npy files, as the bytes a network takes.

Left out: scaling and cropping, which decide what a network sees and are the user's business, and other formats.
"""
import struct

import numpy as np

from .errors import UserError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_image(path, shape):
    """(N, *shape) uint8 from a PNG or an .npy file.  path: a pathlib.Path.  shape: (1, height, width).

    Raises UserError naming the file and what it should be. Nothing is unpickled.
    """
    size = shape[1:]
    wanted = "a PNG of {1} x {0} pixels, or .npy of uint8 ({0}, {1}) or (N, {0}, {1})".format(*size)
    try:
        with open(path, "rb") as file:
            image = np.lib.format.read_array(file, allow_pickle=False) if path.suffix == ".npy" else \
                read_png(file, size)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give {wanted}") from None
    except Exception as error:   # Pillow and NumPy each raise their own for damaged bytes
        raise UserError(f"{path} cannot be read ({type(error).__name__}: {error}); give {wanted}") from None
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[-2:] != size or image.size == 0:
        raise UserError(f"{path} holds {image.dtype} of shape {image.shape}; give {wanted}")
    return image.reshape(-1, *shape)


def read_png(file, size):
    """(height, width) uint8 from an open PNG of any kind: colours averaged, what is transparent laid on white.

    size: the (height, width) it must have; otherwise ValueError, before a pixel is unpacked.
    """
    import matplotlib.image   # takes its time, and only a PNG needs it

    start = file.read(24)     # signature, length and name of the header chunk, width, height
    if len(start) < 24 or not start.startswith(PNG_SIGNATURE):
        raise ValueError("it is no PNG")
    width, height = struct.unpack(">2I", start[16:])
    if (height, width) != size:
        raise ValueError(f"it has {width} x {height} pixels")
    file.seek(0)
    image = np.atleast_3d(matplotlib.image.imread(file, format="png"))   # (height, width, 1..4) float32 in 0..1
    colours = image.shape[2] - (image.shape[2] % 2 == 0)                 # of 2 and 4, the last one is opacity
    grey = image[..., :colours].mean(axis=2)
    if colours < image.shape[2]:
        opacity = image[..., -1]
        grey = grey * opacity + (1 - opacity)
    return (grey * 255).round().astype(np.uint8)
