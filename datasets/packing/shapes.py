"""Shapes in folders of classes: meshes (.off), of which points are taken evenly over the surface, and clouds, of which
points are taken at even steps: .npy of floats (points, 3), and .txt or .xyz of x, y, z and perhaps more in each row.
"""

import numpy as np

from datasets import POINTS, solids
from datasets.packing import MESH
from datasets.text import lines
from zo_numpy import rng
from zo_numpy.clouds import FARTHEST, RADIUS, chosen, scaled
from zo_numpy.files import read_bounded, short
from zo_numpy.npy import read_npy

MOST_BYTES = 1 << 28    # of one file


class Shapes:
    """A reader, see datasets/packing."""

    dtype = np.dtype(np.float32)
    mend = "mend or remove them; --scale brings clouds into the unit sphere, --points N asks for fewer points"

    def __init__(self, folders, options, problems, announce):
        self.paths, self.labels, self.classes, self.is_test, _ = folders
        self.problems, self.options = problems, options
        self.points = options.points or POINTS
        self.shape = (self.points, 3)
        self.preparation = {"points": self.points, "scale": options.scale}

    def name(self, i):
        return short(self.paths[i])

    def samples(self):
        for i, path in enumerate(self.paths):
            try:
                yield self.cloud(i, path)
            except Exception as error:   # damaged files make readers raise many kinds
                self.problems.add(self.name(i), getattr(error, "strerror", None) or error)
                yield None

    def cloud(self, i, path):
        """(P, 3) float32 of a file.  Raises ValueError saying what is wrong with it, or what readers raise."""
        if path.suffix.lower() == ".off":
            cloud = on_surface(*read_off(read_bounded(path, MOST_BYTES)), self.points, self.options.seed, i)
        else:
            cloud = read_npy(path) if path.suffix.lower() == ".npy" else read_rows(read_bounded(path, MOST_BYTES))
            if cloud.ndim != 2 or cloud.shape[1] != 3 or cloud.dtype.kind != "f":
                raise ValueError(f"it holds {cloud.dtype} {' x '.join(map(str, cloud.shape))} where floats, points x "
                                 "3, are wanted")
            if len(cloud) < self.points:
                raise ValueError(f"it has {len(cloud):,} points, {self.points:,} are wanted")
            cloud = cloud[chosen(len(cloud), self.points)]
        return fitted(cloud, self.options.scale)


def fitted(cloud, scale):
    """A cloud (P, 3) as float32, brought into the unit sphere if `scale` asks for it.  Raises ValueError."""
    if not (np.abs(cloud) <= FARTHEST).all():
        raise ValueError(f"a coordinate is NaN, infinite or beyond {FARTHEST:g}")
    cloud = scaled(cloud[None])[0] if scale else cloud
    reach = np.sqrt(np.square(cloud.astype(np.float64)).sum(axis=1).max())
    if not 0 < reach <= RADIUS:
        raise ValueError(f"it reaches {reach:.4g} from the origin" if reach else "all its points are one")
    return cloud.astype(np.float32)


def read_rows(content):
    """(points, 3) float64 of a text: the first three numbers of each row.  Raises ValueError."""
    rows = [line.replace(",", " ").replace(";", " ") for line in lines(content)]
    if not rows:
        raise ValueError("it has no rows")
    return np.loadtxt(rows, usecols=(0, 1, 2), ndmin=2)


def read_off(content):
    """(corners (V, 3) float64, triangles (F, 3) int64) of a mesh in OFF. Faces of more corners are cut into triangles.

    Raises ValueError.
    """
    rows = [row.split() for row in (line.partition("#")[0] for line in lines(content)) if row.strip()]
    if not rows or not rows[0][0].upper().startswith("OFF"):
        raise ValueError("it does not begin with OFF")
    # The counts may follow on the same line, even without a space.
    first = [word for word in (rows[0][0][3:], *rows[0][1:]) if word]
    rows = [first, *rows[1:]] if first else rows[1:]
    if not rows or len(rows[0]) < 2:
        raise ValueError("its head does not say how many corners and faces it has")
    corners, faces = int(rows[0][0]), int(rows[0][1])
    if not 0 < corners <= len(rows) or not 0 < faces <= len(rows) or len(rows) < 1 + corners + faces:
        raise ValueError("it is cut off: its head promises more corners and faces than follow")
    vertices = np.array([row[:3] for row in rows[1:1 + corners]], np.float64)
    indices = [list(map(int, row[1:1 + int(row[0])])) for row in rows[1 + corners:1 + corners + faces]]
    triangles = np.array([(face[0], *pair) for face in indices for pair in zip(face[1:], face[2:])], np.int64)
    if not triangles.size or triangles.min() < 0 or triangles.max() >= corners:
        raise ValueError("a face has a corner that is not there")
    return vertices, triangles


def on_surface(corners, triangles, points, seed, number):
    """(points, 3) float64, spread evenly over the triangles of a mesh.  number: of the sample.  Raises ValueError."""
    words = rng.words(seed, rng.DATA, number, MESH, 0, 4 * points)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    with np.errstate(all="ignore"):   # of corners that are not finite
        cloud = solids.on_faces(corners, triangles, uniform.reshape(points, 4))
    if not np.isfinite(cloud).all() or not np.ptp(cloud, axis=0).any():
        raise ValueError("its surface has no area, or a corner is no number")
    return cloud
