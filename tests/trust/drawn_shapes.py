"""Small colour JPEGs in 12 classes, a folder a class, that no linear classifier on their pixels tells apart well.

A class is a shape of thick lines. Place, size, both colours and the noise are drawn anew for each picture; the shape may
be the brighter or the darker, so that the mean picture of a class says little of it.
"""
import numpy as np
from PIL import Image, ImageDraw

SIDE, FINE = 32, 4   # pixels; shapes are drawn FINE times as large, for smooth edges
NEAR, FAR = -1, 1
CORNERS = ((NEAR, NEAR), (FAR, NEAR), (FAR, FAR), (NEAR, FAR), (NEAR, NEAR))
SHAPES = {   # lines through points of a square from -1 to 1
    "line": [((NEAR, 0), (FAR, 0))],
    "column": [((0, NEAR), (0, FAR))],
    "rising": [((NEAR, FAR), (FAR, NEAR))],
    "falling": [((NEAR, NEAR), (FAR, FAR))],
    "plus": [((NEAR, 0), (FAR, 0)), ((0, NEAR), (0, FAR))],
    "cross": [((NEAR, FAR), (FAR, NEAR)), ((NEAR, NEAR), (FAR, FAR))],
    "square": [CORNERS],
    "triangle": [((0, NEAR), (FAR, FAR), (NEAR, FAR), (0, NEAR))],
    "two-lines": [((NEAR, NEAR), (FAR, NEAR)), ((NEAR, FAR), (FAR, FAR))],
    "two-columns": [((NEAR, NEAR), (NEAR, FAR)), ((FAR, NEAR), (FAR, FAR))],
    "corner": [((NEAR, NEAR), (NEAR, FAR), (FAR, FAR))],
    "roof": [((NEAR, FAR), (0, NEAR), (FAR, FAR))],
}
CONTRAST = 240   # at least, of the sums of three colours
BRIGHTER = 0.85   # share of the pictures


def picture(draw, name, shift=3, noise=8, size=SIDE):
    """A picture of a class, (size, size, 3) uint8.  draw: a NumPy generator."""
    mask = Image.new("L", (SIDE * FINE,) * 2)
    pen, half = ImageDraw.Draw(mask), draw.uniform(8.5, 11.5)
    middle = SIDE / 2 + draw.uniform(-shift, shift, 2)
    for line in SHAPES[name]:
        pen.line([tuple(FINE * (middle + half * np.array(point))) for point in line], 255, round(FINE * 4.5))
    share = np.array(mask.resize((size, size), Image.Resampling.BOX))[..., None] / 255
    while True:
        dark, bright = sorted(draw.integers(0, 256, (2, 3)), key=sum)
        if sum(bright) - sum(dark) >= CONTRAST:
            break
    paint, ground = (bright, dark) if draw.random() < BRIGHTER else (dark, bright)
    pixels = share * paint + (1 - share) * ground + draw.normal(0, noise, (size, size, 3))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def draw_folder(folder, each, seed=0):
    """Draws `each` JPEGs of every class into a sub-folder of its name."""
    draw = np.random.default_rng(seed)
    for name in SHAPES:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(picture(draw, name)).save(folder / name / f"{i:03}.jpg", quality=92)
