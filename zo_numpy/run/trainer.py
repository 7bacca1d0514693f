"""Epochs, evaluation, checkpoints: all of training except what happens inside a step.

It is the same for floats and integers: the step is that of the run's Method (steps.py), losses are printed as they were
given, and counts become percentages by integer arithmetic. The clock is read for reports only.
"""
import json
import time
from decimal import Decimal

from .. import models
from ..errors import Diverged, UserError
from .checkpoint import digest, read_checkpoint
from .folder import CHECKPOINT, CONFIG, METRICS, STEPS
from .steps import PRECISIONS, batch_of, log_line, one_step, parts, steps_in_epoch
from .transfer import start_from

EVALUATION_BATCH = 256     # in file order; INT8 requantises by the batch's maximum, so the result depends on the batch
SAVE_EVERY_SECONDS = 20


class Interrupted(Exception):
    """The user asked to stop; the state is saved."""


def percent(correct, total):
    """100 correct / total to two decimals, rounded down."""
    return Decimal(10_000 * correct // total).scaleb(-2)


def json_line(record):
    """One line of JSON; a Decimal becomes a number with exactly its digits, unlike a float."""
    return "{" + ", ".join(f"{json.dumps(name)}: {value if isinstance(value, Decimal) else json.dumps(value)}"
                           for name, value in record.items()) + "}"


def count_correct(precision, model, weights, images, labels, batch=EVALUATION_BATCH):
    """How many samples are classified correctly, in batches in file order, the last one partial."""
    correct = 0
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        correct += int((precision.classify(model, weights, images[part]) == labels[part]).sum())
    return correct


def load_weights(config, path):
    """(weights, the other numbers) of the checkpoint in a run folder.  path: the folder's.

    The numbers are `step`, the steps made; `loss_sum`, see Run; and in INT8 the exponents.
    Raises UserError unless it is a checkpoint of this configuration's network: names, shapes and dtypes.
    """
    precision = PRECISIONS[config.precision]
    arrays, numbers = read_checkpoint(path / CHECKPOINT)
    fresh, fresh_numbers = precision.to_arrays(precision.initialise(config))
    layout = [(name, array.shape, array.dtype) for name, array in arrays.items()]
    if layout != [(name, array.shape, array.dtype) for name, array in fresh.items()] or \
            numbers.keys() != {"step", "loss_sum", *fresh_numbers}:
        raise UserError(f"{path / CHECKPOINT} does not belong to the {config.model} of {CONFIG} beside it; "
                        "train again in another --out")
    weights = precision.from_arrays(arrays, numbers)
    try:
        precision.check_finite(weights, numbers["step"])
    except Diverged as error:
        raise UserError(f"{path / CHECKPOINT} cannot be used: {error}, and train in another --out") from None
    return weights, numbers


def first_weights(config, announce=lambda text: None):
    """The weights a run starts from: drawn, or those of another run or a file.  announce: called with what is said."""
    precision = PRECISIONS[config.precision]
    if not config.init_from:
        return precision.initialise(config)
    return precision.fit_for_zo(start_from(config, load_weights, announce), config)


class Run:
    """A training run: its state, and the loop that advances it.

    Its state is `weights`, `step` (the number of steps made) and `loss_sum`: the sum of L+ and L- over all steps of
    the present epoch so far, each loss a sum over its batch.
    method: the steps.Method that makes its steps.
    folder: an entered RunFolder holding the run's config.json.  progress: see app/progress.py.
    should_stop: called after each step; true means save and raise Interrupted.
    """

    def __init__(self, config, method, dataset, folder, progress, should_stop=lambda: False):
        self.config, self.method, self.folder = config, method, folder
        self.progress, self.should_stop = progress, should_stop
        self.model = models.of_run(config)
        self.precision = PRECISIONS[config.precision]
        (self.images, self.labels), self.report, self.report_name = parts(config, dataset)
        self.steps_per_epoch = steps_in_epoch(config, len(self.labels))
        self.total_steps = config.epochs * self.steps_per_epoch
        numbers = {"step": 0, "loss_sum": 0}
        if folder.has_checkpoint():
            self.weights, numbers = load_weights(config, folder.path)
        else:
            self.weights = first_weights(config)
        self.step, self.loss_sum = numbers["step"], numbers["loss_sum"]
        if self.step > self.total_steps:
            raise UserError(f"{folder.path / CHECKPOINT} is at step {self.step:,} of {self.total_steps:,}: it does not "
                            f"belong to {CONFIG} beside it; train again in another --out")
        folder.open_logs(self.step, self.step // self.steps_per_epoch)

    def save(self):
        """Saves the run.  If a weight is not finite, raises Diverged and leaves the last checkpoint as it is."""
        self.precision.check_finite(self.weights, self.step)
        arrays, numbers = self.precision.to_arrays(self.weights)
        self.folder.save(arrays, {"step": self.step, "loss_sum": self.loss_sum, **numbers})
        self.saved_at = time.monotonic()

    def digest(self):
        """sha256 of the weights as they are, see checkpoint.digest."""
        return digest(self.precision.to_arrays(self.weights)[0])

    def train(self):
        """Trains to the last epoch, from wherever the run stands."""
        self.saved_at = time.monotonic()
        while self.step < self.total_steps:
            self.train_epoch(self.step // self.steps_per_epoch)

    def train_epoch(self, epoch):
        """Trains to the end of an epoch, counted from 0, and reports on it. The run is in that epoch or before it.

        Saves at its end, and before that so often that a kill costs about SAVE_EVERY_SECONDS.
        """
        started, first = time.monotonic(), self.step
        while self.step < (epoch + 1) * self.steps_per_epoch:
            _, batch = batch_of(self.config, len(self.labels), self.step)
            outcome = one_step(self.config, self.method, self.weights, self.images, self.labels, self.step)
            self.loss_sum += sum(self.precision.batch_loss(loss, len(batch)) for loss in outcome[:2])
            self.step += 1
            self.folder.append(STEPS, log_line(self.step, self.total_steps, outcome, self.digest))
            self.progress.step(self.step, epoch)
            if self.step < (epoch + 1) * self.steps_per_epoch:
                if self.should_stop():
                    self.save()
                    raise Interrupted
                if time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS:
                    self.save()
        trained = max(0, time.monotonic() - started)   # a broken clock spoils a figure, not the run
        self.precision.check_finite(self.weights, self.step)
        self.finish_epoch(epoch, trained, self.step - first)
        self.save()
        if self.should_stop() and self.step < self.total_steps:
            raise Interrupted

    def finish_epoch(self, epoch, seconds, steps):
        """Evaluates, writes the epoch's line of metrics and starts the next epoch's sum.

        seconds, steps: those of this process alone, if another process began the epoch.
        """
        correct = count_correct(self.precision, self.model, self.weights, *self.report)
        images = min(steps * self.config.batch_size, len(self.labels))
        record = {"epoch": epoch + 1, "step": self.step,
                  "train_loss": self.precision.mean_loss(self.loss_sum, 2 * len(self.labels)),   # of both passes
                  f"{self.report_name}_correct": correct, f"{self.report_name}_images": len(self.report[1]),
                  f"{self.report_name}_accuracy": percent(correct, len(self.report[1])),
                  **{name: self.config.at(name, epoch) for name in self.config.schedules},
                  "seconds": round(seconds, 3), "images_per_second": round(images / max(seconds, 1e-9))}
        self.loss_sum = 0
        self.folder.append(METRICS, json_line(record))
        self.progress.epoch(record, self.config.epochs)
