"""A small file of a user's own pictures and clouds, for the tests of runs on them."""
import numpy as np

from small_clouds import clouds
from zo_numpy.__main__ import main

CLASSES = ("red", "green", "blue")
PREPARED = '{"grey": false, "invert": true, "size": [9, 11]}'


def pictures(count, seed):
    """(count, 3, 9, 11) uint8 and labels: noise, and a square in one of three colours."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    images = draw.integers(0, 60, (count, 3, 9, 11), np.uint8)
    images[np.arange(count), labels, 2:7, 3:8] = 230
    return images, labels


def write_pictures(path, seed=0, train=60, test=30, **more):
    """A file of pictures.  Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (x, y), (x_test, y_test) = pictures(train, seed), pictures(test, seed + 1)
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test, classes=CLASSES, **more)
    return path


def write_shapes(path):
    """A file of 45 clouds of 24 points.  Returns its path."""
    (x, y), (x_test, y_test) = clouds(30, 24, 1), clouds(15, 24, 2)
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return path


def options(*more, epochs=1):
    return ["train", "--model", "narrow-lenet", "--batch-size", "16", "--epochs", str(epochs), *map(str, more)]


def train(path, out, *more, epochs=1):
    """Trains in this process.  Returns the run's folder."""
    assert main(options("--data", path, "--out", out, *more, epochs=epochs)) == 0
    return out
