"""`evaluate`: the accuracy of a run on the test set, and with --picture which classes it takes for which."""
import dataclasses

import numpy as np

from ..errors import UserError
from ..files import write_atomically
from ..run.config import NUMBERS, check_number
from ..run.trainer import EVALUATION_BATCH, count_correct, percent
from .data import data_of_run
from .drawing import panels
from .plots import drawable, png_of
from .progress import say
from .report import load_run, subset_note

CONFUSION = "confusion.png"
WORST = 5           # confusions that are said
MOST_NAMED = 40     # classes whose names stand in the picture; the numbers in the squares up to MOST_COUNTED
MOST_COUNTED = 12


def evaluate(run, data=None, rotate=None, data_dir=None, offline=False, picture=False):
    """`evaluate`: test accuracy of a run as it stands, in batches and one sample at a time, on its own data or others.

    Raises UserError, also where the data are not those of the run and nobody named them.
    """
    config, model, precision, weights = load_run(run)
    if rotate is not None and config.points:
        raise UserError(f"--rotate {rotate}: it has no meaning for the point clouds of {run}")
    if rotate is not None:
        check_number("rotate", rotate, NUMBERS["rotate"])
        config = dataclasses.replace(config, rotate=rotate)
    dataset = data_of_run(run, config, data, data_dir, offline)
    images, labels = dataset.test_images, dataset.test_labels
    if images.shape[1:] != model.input_shape or len(dataset.classes) != model.classes:
        raise UserError(f"{run} takes samples of {_sizes(model.input_shape)} in {model.classes} classes, {dataset.name}"
                        f" has {_sizes(images.shape[1:])} in {len(dataset.classes)}: choose another --data")
    images = precision.decode_clouds(images) if config.points else images
    correct = count_correct(precision, model, weights, images, labels)
    alone = count_correct(precision, model, weights, images, labels, batch=1)
    say(f"test accuracy {percent(correct, len(labels))} % ({correct:,} of {len(labels):,} in batches of "
        f"{EVALUATION_BATCH}); {percent(alone, len(labels))} % ({alone:,}) one at a time{subset_note(dataset)}")
    if picture:
        matrix = confusion(precision, model, weights, images, labels)
        for line in _worst(matrix, dataset.classes):
            say(line)
        write_atomically(run / CONFUSION, _picture(matrix, dataset.classes, f"{run.resolve().name}, {dataset.name}: "
                                                   f"{percent(correct, len(labels))} %"))
        say(f"wrote {run / CONFUSION}")


def _sizes(shape):
    return " x ".join(map(str, shape))


def confusion(precision, model, weights, images, labels):
    """(classes, classes) int64: how many test samples of each class, by row, were taken for each, in batches."""
    matrix = np.zeros((model.classes, model.classes), np.int64)
    for start in range(0, len(labels), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        np.add.at(matrix, (labels[part], precision.classify(model, weights, images[part])), 1)
    return matrix


def _worst(matrix, classes):
    """The confusions that happened most often, as sentences."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    found = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape)) if wrong[i, j]]
    if not found:
        return ["no class was taken for another"]
    return [f"{classes[i]} was taken for {classes[j]}: {wrong[i, j]:,} of {matrix[i].sum():,}" for i, j in found]


def _picture(matrix, classes, title):
    """The confusion matrix as the bytes of a PNG: a row a class, each as shares of its samples."""
    count = len(classes)
    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    side = min(12, 4 + count / 4)
    with panels(1, (side + 1, side)) as (figure, (axes,)):
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        figure.suptitle(drawable(title), fontsize=11, parse_math=False)
        axes.set(xlabel="taken for", ylabel="class")
        if count <= MOST_NAMED:
            names = [drawable(name[:20]).replace("$", r"\$") for name in classes]
            axes.set_xticks(range(count), names, rotation=90)
            axes.set_yticks(range(count), names)
        if count <= MOST_COUNTED:
            for i, j in np.argwhere(matrix):
                axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", fontsize=8,
                          color="white" if share[i, j] > 0.5 else "black")
        figure.colorbar(image, label="share of the class")
        return png_of(figure)
