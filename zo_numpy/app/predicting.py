"""`predict`: the class of pictures or clouds, each by the network's output for it alone."""
import numpy as np

from .. import models
from ..errors import UserError
from ..int8.arith import QTensor
from ..run.folder import CONFIG, read_description
from ..run.origin import read_origin
from .inputs import as_it_is, read_clouds, read_image
from .progress import say
from .report import load_run


def predict(run, images, invert=False, top=None):
    """`predict`: the class of each image and the runner-up, or the `top` classes and how far they are behind the first.

    Pictures are prepared as the run's data were, and what was done to one is said after its classes.
    """
    config, model, precision, weights = load_run(run)
    names = read_description(run)["dataset"]["classes"]
    if len(names) != model.classes:
        raise UserError(f"{run / CONFIG} names {len(names)} classes where the network has {model.classes}; give another"
                        " run folder")
    clouds, own = models.takes_points(model), read_origin(run, model.input_shape).preparation
    if clouds and invert:
        raise UserError(f"--invert has no meaning for point clouds, which {run} takes: leave it out")
    if top is not None and not 1 <= top <= model.classes:
        raise UserError(f"--top {top}: choose a whole number from 1 to {model.classes}")
    batches = []   # all are read before a class is printed
    for path in images:
        said = []
        if clouds:
            batch = precision.decode_clouds(read_clouds(path, config.points, own, said))
        else:
            preparation = own or as_it_is(model.input_shape)
            batch = read_image(path, model.input_shape, {**preparation, "invert": preparation["invert"] ^ invert}, said)
        batches.append((path, batch, said))
    for path, batch, said in batches:
        for i, image in enumerate(batch):
            bright = not (clouds or own or invert or len(image) > 1 or image.mean() < 128)
            notes = [*said, *["a bright picture: is its ink dark? then add --invert"] * bright]
            say(f"{path}[{i}]: " * (len(batch) > 1) + f"{path}: " * (len(batch) == 1)
                + _answer(_logits(precision, model, weights, image), names, top)
                + (f"   ({'; '.join(notes)})" if notes else ""))


def _logits(precision, model, weights, image):
    """The network's output for one sample, (classes,) float, in nats."""
    out = precision.logits_of(model, weights, image[None])
    return out.data[0] * 2.0**out.exponent if isinstance(out, QTensor) else out[0]


def _answer(logits, names, top):
    """The class and the next, or the `top` classes and their distances from the first."""
    order = np.argsort(-logits, kind="stable")
    if top is None:
        return f"{names[order[0]]}   (next: {names[order[1]]})"
    behind = [f"{names[j]} {logits[order[0]] - logits[j]:.2f} behind" for j in order[1:top]]
    return ", ".join([names[order[0]], *behind])
