"""The steps of a run, numbered over its epochs: which samples each visits, and the line of steps.txt it leaves.

Step s of a run is a function of its configuration, its data and the weights before it, and of nothing else.
Here a precision is a module, fp32/precision.py or int8/precision.py, of which nothing but what both have is used.
"""
from typing import Callable, NamedTuple

from .. import models, rng
from ..clouds import Variants
from ..errors import UserError
from ..fp32 import precision as fp32
from ..int8 import precision as int8
from .config import training_samples

PRECISIONS = {"fp32": fp32, "int8": int8}
DIGEST_EVERY = 100   # steps between two digests in steps.txt


class Method(NamedTuple):
    """What makes a run's steps, and the loss that takes the place of its Settings' own, if one does."""
    train_step: Callable                # as of elastic_zo.train_step
    loss: Callable | None = None        # (logits, labels) -> number


def own_method(config):
    """The Method of a precision itself: ElasticZO, with whatever tail of a number of layers, and its variants."""
    return Method(PRECISIONS[config.precision].train_step_of(config))


def split(config, dataset):
    """((training images, labels), (images, labels) to report on, what to call the latter).

    With `validate` the last that many training images are held out and reported on, and the test set is not touched.
    With `limit` only the first that many of the rest are trained on.
    Raises UserError if nothing would be left to train on.
    """
    count = training_samples(config, dataset)
    if count < 1:
        raise UserError(f"--validate {config.validate} leaves nothing to train on: the data set has "
                        f"{len(dataset.train_labels)} training samples")
    training = dataset.train_images[:count], dataset.train_labels[:count]
    if not config.validate:
        return training, (dataset.test_images, dataset.test_labels), "test"
    held_out = dataset.train_images[-config.validate:], dataset.train_labels[-config.validate:]
    return training, held_out, "validation"


def parts(config, dataset):
    """What `split` gives, as a run trains and reports on it: clouds are decoded, as the precision takes them.

    With `augment` the training clouds are a clouds.Variants, of which `samples_at` gives an epoch's.
    """
    (training, labels), (report, report_labels), name = split(config, dataset)
    if config.points:
        precision = PRECISIONS[config.precision]
        report, decode = precision.decode_clouds(report), precision.decode_clouds
        training = decode(training) if not config.augment else Variants(
            training, config.augment, config.spin, config.noise, config.seed, decode, precision.DECODES_AHEAD)
    return (training, labels), (report, report_labels), name


def samples_at(samples, epoch):
    """The training samples of an epoch, from 0: an array.  samples: what `parts` gives for training."""
    return samples.of(epoch) if isinstance(samples, Variants) else samples


def steps_in_epoch(config, count):
    """Steps that visit `count` samples once; the last batch is smaller where the division leaves a rest."""
    return -(-count // config.batch_size)


def batch_of(config, count, step):
    """(epoch, indices of the samples) of a step, counted over the whole run from 0.  count: training samples."""
    epoch, number = divmod(step, steps_in_epoch(config, count))
    start = number * config.batch_size
    return epoch, rng.shuffled(config.seed, epoch, count)[start:start + config.batch_size]


def one_step(config, method, weights, images, labels, step, record=None):
    """Makes step `step` of a run on its training set, changing `weights` in place.

    method: a Method.  images, labels: the training part of `parts`.  record: see `train_step`.  Returns (L+, L-, g).
    """
    epoch, batch = batch_of(config, len(labels), step)
    return method.train_step(models.of_run(config), config.bp_tail, weights, samples_at(images, epoch)[batch],
                             labels[batch], config.seed, step, settings_of(config, method, epoch), record)


def settings_of(config, method, epoch):
    """The Settings of a run in an epoch, from 0."""
    settings = PRECISIONS[config.precision].settings_at(config, epoch)
    return settings._replace(loss=method.loss) if method.loss else settings


def compares_loss(config):
    """Whether a float64 loss takes the place of INT8's integer one: a comparison, not integers only."""
    return config.precision == "int8" and config.loss == "float"


def log_line(steps_made, total_steps, outcome, digest):
    """The line of steps.txt after `steps_made` steps: step, L+, L-, g (several with commas between, where a step has
    several queries), and the weights' digest every 100 steps and at the last.

    outcome: what `one_step` returned.  digest: called for the digest, where the line has one.
    """
    loss_plus, loss_minus, g = outcome
    line = f"{steps_made - 1} {loss_plus} {loss_minus} {','.join(map(str, g if isinstance(g, tuple) else (g,)))}"
    return f"{line} {digest()}" if steps_made % DIGEST_EVERY == 0 or steps_made == total_steps else line
