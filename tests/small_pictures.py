"""Small pictures in folders of classes, and which row of a packed file holds which, for the tests of packing."""
import numpy as np
from PIL import Image

PIXELS = np.random.default_rng(5).integers(0, 256, (24, 12, 10, 3), np.uint8)


def picture(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path, **options)
    return path


def rows_of(images, wanted):
    """The rows of (N, C, H, W) that hold the pictures `wanted`, (M, H, W, C), in their order."""
    found = [[i for i, image in enumerate(images) if np.array_equal(image.transpose(1, 2, 0), one)] for one in wanted]
    assert all(len(rows) == 1 for rows in found)
    return [rows[0] for rows in found]
