"""A SYNTHETIC data set of point clouds: points on the surfaces of ten parametric solids, for tests and first runs.

It says nothing of how a network does on scanned or designed shapes. Every cloud is made from numbers of the DATA stream
(zo_numpy/clouds.py) by exactly rounded arithmetic alone: the same bits on every machine. Solids stand upright, vary in
their proportions, are turned about the vertical axis, and fill the unit sphere.
"""

import hashlib

import numpy as np

from zo_numpy import rng
from zo_numpy.clouds import SOLID, SURFACE
from zo_numpy.samples import Dataset

NAME = "synthetic-solids"
CLASSES = ("sphere", "spindle", "cube", "slab", "cylinder", "cone", "pyramid", "torus", "octahedron", "tetrahedron")
TRAIN, TEST = 1000, 300     # clouds; cloud i is of class i mod 10

BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
BOX_FACES = [(0, 1, 3), (0, 3, 2), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4),
             (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 3, 7), (1, 7, 5)]
SLAB = BOX * (1, 0.2, 0.7)
PYRAMID = np.array([[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1], [0, 1, 0]], float)
PYRAMID_FACES = [(0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (0, 1, 2), (0, 2, 3)]
OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0], [0, -1, 0]], float)
OCTAHEDRON_FACES = [(a, b, c) for a in (0, 1) for b in (2, 3) for c in (4, 5)]
TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
TETRAHEDRON_FACES = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
POLYHEDRA = {"cube": (BOX, BOX_FACES), "slab": (SLAB, BOX_FACES), "pyramid": (PYRAMID, PYRAMID_FACES),
             "octahedron": (OCTAHEDRON, OCTAHEDRON_FACES), "tetrahedron": (TETRAHEDRON, TETRAHEDRON_FACES)}


def load(points, announce):
    """Return the synthetic solids as a `Dataset`; parameters are those of `datasets.load`."""
    clouds = np.stack([cloud(i, points) for i in range(TRAIN + TEST)])
    labels = (np.arange(TRAIN + TEST) % len(CLASSES)).astype(np.uint8)
    announce(f"synthetic solids: {TRAIN:,} training and {TEST:,} test clouds of {points} points, made here: NOT real "
             "shapes")
    content = clouds.astype("<f4").tobytes() + labels.tobytes()
    return Dataset(NAME, clouds[:TRAIN], labels[:TRAIN], clouds[TRAIN:], labels[TRAIN:], CLASSES,
                   source=f"synthetic: ten solids, {points} points each", complete=True,
                   digest=hashlib.sha256(content).hexdigest())


def cloud(number, points):
    """Points on the surface of solid `number` of the set.  Returns (points, 3) float32 in the unit sphere."""
    p = uniform(number, SOLID, 8)
    u = uniform(number, SURFACE, 4 * points).reshape(points, 4)
    xyz = surface(CLASSES[number % len(CLASSES)], p, u) * (0.85 + 0.3 * p[:3])
    c, s = circle(p[3:4])
    x, z = c * xyz[:, 0] + s * xyz[:, 2], c * xyz[:, 2] - s * xyz[:, 0]
    xyz = np.stack([x, xyz[:, 1], z], axis=1)
    xyz -= (xyz.max(axis=0) + xyz.min(axis=0)) / 2
    radius = np.sqrt(xyz[:, 0] * xyz[:, 0] + xyz[:, 1] * xyz[:, 1] + xyz[:, 2] * xyz[:, 2]).max()
    return np.clip(xyz / radius, -1, 1).astype(np.float32)


def uniform(number, tensor, count):
    """Numbers in (0, 1) of one draw: (half-word + 1/2) / 2^16."""
    return (rng.half_words(0, rng.DATA, number, tensor, 0, count) + 0.5) * 2.0**-16


def circle(u):
    """A point of the unit circle for each u in (0, 1): rational, so exactly rounded, and dense enough everywhere."""
    t = 4 * u - 1                                  # -1..1 is one half, 1..3 the other
    sign = np.where(t < 1, 1.0, -1.0)
    t = np.where(t < 1, t, t - 2)
    return sign * (1 - t * t) / (1 + t * t), sign * 2 * t / (1 + t * t)


def surface(solid, p, u):
    """Points on a solid's surface.  p: (8,) in (0, 1), its proportions.  u: (points, 4) in (0, 1).

    Returns (points, 3) float64.
    """
    if solid in POLYHEDRA:
        return on_faces(*POLYHEDRA[solid], u)
    c, s = circle(u[:, 0])
    height = 2 * u[:, 1] - 1
    match solid:
        case "sphere":
            r = np.sqrt(1 - height * height)
        case "spindle":                            # a long ellipsoid
            r = np.sqrt(1 - height * height) * (0.3 + 0.2 * p[4])
        case "cylinder":                           # a third of the points on its lids
            width = 0.4 + 0.3 * p[4]
            lid = u[:, 2] < 1 / 3
            r = np.where(lid, width * np.sqrt(u[:, 3]), width)
            height = np.where(lid, np.where(height < 0, -1.0, 1.0), height)
        case "cone":                               # a third on its base
            base = u[:, 2] < 1 / 3
            r = np.sqrt(u[:, 3]) * (0.6 + 0.4 * p[4])
            height = np.where(base, -1.0, 1 - 2 * np.sqrt(u[:, 3]))
        case "torus":                              # lying flat
            tube = 0.2 + 0.15 * p[4]
            a, b = circle(u[:, 1])
            r, height = 1 + tube * a, tube * b
    return np.stack([r * c, height, r * s], axis=1)


def on_faces(corners, faces, u):
    """Points spread evenly over triangles.  corners: (V, 3).  faces: (F, 3), indices of corners.  u: (points, 4)."""
    a, b, c = corners[np.asarray(faces).T]
    cross = np.cross(b - a, c - a)
    areas = np.sqrt(cross[:, 0] ** 2 + cross[:, 1] ** 2 + cross[:, 2] ** 2)
    ends = np.cumsum(areas)
    face = np.minimum(np.searchsorted(ends, u[:, 0] * ends[-1]), len(faces) - 1)
    root, v = np.sqrt(u[:, 1:2]), u[:, 2:3]
    return (1 - root) * a[face] + root * (1 - v) * b[face] + root * v * c[face]
