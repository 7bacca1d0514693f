"""The steps of a run, numbered over its epochs: which samples each visits, and the line of steps.txt it leaves.

Step s of a run is a function of its configuration, its data and the weights before it, and of nothing else.
"""
from . import models, rng
from .errors import UserError
from .int8 import elastic_zo as int8

PRECISIONS = {"int8": int8}
DIGEST_EVERY = 100   # steps


def parts(config, dataset):
    """((training images, labels), (images, labels) to report on, what to call the latter).

    With `validate` the last that many training images are held out and reported on, and the test set is not touched.
    Raises UserError if nothing would be left to train on.
    """
    held = config.validate
    if not held:
        return ((dataset.train_images, dataset.train_labels), (dataset.test_images, dataset.test_labels), "test")
    if held >= len(dataset.train_labels):
        raise UserError(f"--validate {held} leaves nothing to train on: the data set has "
                        f"{len(dataset.train_labels)} training samples")
    return ((dataset.train_images[:-held], dataset.train_labels[:-held]),
            (dataset.train_images[-held:], dataset.train_labels[-held:]), "validation")


def steps_in_epoch(config, count):
    """Steps that visit `count` samples once; the last batch is smaller where the division leaves a rest."""
    return -(-count // config.batch_size)


def batch_of(config, count, step):
    """(epoch, indices of the samples) of a step, counted over the whole run from 0.  count: training samples."""
    epoch, number = divmod(step, steps_in_epoch(config, count))
    start = number * config.batch_size
    return epoch, rng.shuffled(config.seed, epoch, count)[start:start + config.batch_size]


def one_step(config, precision, weights, images, labels, step, record=None):
    """Makes step `step` of a run on its training set, changing `weights` in place.

    precision: the elastic_zo module.  record: see its `train_step`.  Returns (L+, L-, g).
    """
    epoch, batch = batch_of(config, len(labels), step)
    return precision.train_step(models.MODELS[config.model], config.bp_tail, weights, images[batch], labels[batch],
                                config.seed, step, precision.settings_at(config, epoch), record)


def log_line(steps_made, total_steps, losses_and_sign, digest):
    """The line of steps.txt after `steps_made` steps: step, L+, L-, g, and the weights' digest every 100 steps and
    at the last.  digest: called for it.
    """
    line = f"{steps_made - 1} {' '.join(map(str, losses_and_sign))}"
    return f"{line} {digest()}" if steps_made % DIGEST_EVERY == 0 or steps_made == total_steps else line
