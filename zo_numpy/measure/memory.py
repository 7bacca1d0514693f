"""Bytes of a training step by kind of tensor: predicted from the configuration, and measured.

A step is a sequence of moments, each with what is held while it runs; its peak is the largest of them. Batch, weights
and all that a step makes count, the data set does not. Predicted are arrays, and the few kilobytes of Python objects
around them as one number; Python's tracemalloc sees both. What BLAS allocates for itself neither counts: that is in
the resident set alone. What full BP holds is predicted where its backwards are, and given from there: `full_bp` is a
function that adds the moments of its step to a Plan.

    parameters      weights, and biases in FP32
    perturbation    one group of elements of z, with the random words that make it
    activations     images, and what layers hand to the next one
    accumulators    int32 sums of a block's whole batch, before their requantisation (INT8)
    scratch         tiles of patches and sums, widened operands, intermediates of an operation
    gradients       gradients of the tail, and the steps made of them
    errors          errors passed back through the tail
"""
import tracemalloc
from typing import NamedTuple

import numpy as np

from .. import models, rng, system, tiles
from ..fp32 import elastic_zo as fp32
from ..int8.arith import CHUNK, WIDENED_BYTES
from ..run.config import BP
from ..run.steps import PRECISIONS, settings_of
from . import memory_points

KINDS = ("parameters", "perturbation", "activations", "accumulators", "scratch", "gradients", "errors")
OBJECTS = 12_000  # bytes of Python objects that a step holds
DRAWN = {"int8": 5, "fp32": 14}   # bytes that drawing an element takes at its peak, words included
ROUNDING = memory_points.ROUNDING


class Moment(NamedTuple):
    """What is held at one moment of a step: its name, and {kind: bytes}."""
    name: str
    held: dict

    @property
    def total(self):
        return sum(self.held.values())


class Plan:
    """Collects the moments of a step of `config` and knows the sizes they have in common."""

    def __init__(self, config):
        self.config, self.moments = config, []
        self.int8 = config.precision == "int8"
        self.item = 1 if self.int8 else 4        # bytes of a stored number
        self.sums = "int32" if self.int8 else "float32"
        self.model, self.batch = models.of_run(config), config.batch_size
        self.blocks = models.blocks(self.model.layers)
        self.shapes = [self.model.input_shape]   # of a sample, before each block and after the last
        for block in self.blocks:
            self.shapes.append(models.output_shape(block, self.shapes[-1]))
        count = PRECISIONS[config.precision].parameter_count
        of_norms = 0 if self.int8 else 2 * sum(layer.channels for layer in self.model.layers
                                               if isinstance(layer, models.BatchNorm))   # running statistics
        sample = models.size(self.model.input_shape) * (self.item if models.takes_points(self.model) else 1)
        self.always = {"parameters": self.item * (sum(map(count, self.model.layers)) + of_norms),
                       "activations": self.batch * sample, "scratch": OBJECTS}

    def add(self, name, **held):
        """A moment: what is always held, and `held` on top of it."""
        self.moments.append(Moment(name, {kind: self.always.get(kind, 0) + held.get(kind, 0) for kind in KINDS}))

    def numbers(self, place):
        """How many numbers of the batch there are before block `place`."""
        return self.batch * models.size(self.shapes[place])

    def activations(self, *places):
        """Bytes of the activations before these blocks, as they are stored."""
        return self.item * sum(self.numbers(place) for place in places)

    def gradients(self, place):
        """Bytes of the gradients of a block's parameters."""
        return 4 * sum(map(PRECISIONS[self.config.precision].parameter_count, self.blocks[place]))

    def tile(self, tiling):
        """(samples in a tile, number of tiles, how many run at once) of a batch with a tiling (length, workers)."""
        cut = tiles.cut(self.batch, *tiling)
        return max(part.stop - part.start for part in cut), len(cut), min(tiling[1], len(cut))

    def tile_scratch(self, place):
        """What all threads together hold while they run tiles of a block."""
        block, shape = self.blocks[place], self.shapes[place]
        length, number, workers = self.tile(tiles.tiling(block, shape, self.batch, self.sums))
        layer, out = block[0], models.size(models.output_shape(block[:1], shape))
        if isinstance(layer, models.Conv2d):
            one = length * tiles.scratch_bytes(layer, shape) + self.kernels(layer)
            one += 0 if self.int8 else 4 * length * out      # a product that is added to the others
        else:
            one = 4 * length * out
            if self.int8:
                one += 4 * length * models.fan_in(layer) + widened(models.fan_in(layer), layer.out_features)
        return workers * one

    def kernels(self, layer):
        """A convolution's weights in the order of its patches, in INT8 also widened."""
        return models.weight_count(layer) * (5 if self.int8 else 4)

    def forward(self, kept, name="forward", **held):
        """The moments of a forward pass; block `kept` and those behind it, the tail's, keep their inputs."""
        for place, block in enumerate(self.blocks):
            inputs = self.activations(*range(kept, place), place)   # those kept so far, and the block's own
            made = self.numbers(place + 1)
            where = f"{name}, {block[0].name}"
            if isinstance(block[0], models.PointLinear):
                # Clouds are the network's input as they stand: place 0 is the batch itself, which always counts.
                beside = inputs - (self.activations(0) if place == 0 else 0)
                memory_points.add_moments(self, place, where, beside, **held)
            elif self.int8:
                self.add(where, activations=inputs, accumulators=4 * made, scratch=self.tile_scratch(place), **held)
                self.add(f"{where}, requantise", activations=inputs + made, accumulators=4 * made,
                         scratch=ROUNDING * min(CHUNK, made), **held)
            else:
                self.add(where, activations=inputs + 4 * made, scratch=self.tile_scratch(place), **held)

    def perturb(self, name, **held):
        """A draw of z, added to theta."""
        head, _ = models.split_tail(self.model.layers, self.config.bp_tail)
        counts = [models.weight_count(layer) for layer in models.weight_layers(head)]
        if not self.int8:
            counts = [models.size(shape) for layer in head for shape in fp32.parameters(layer).values()]
        per_word = PRECISIONS[self.config.precision].PER_WORD
        largest = max(sum(piece.stop - piece.start for piece in group)
                      for group in rng.groups(dict(enumerate(counts)), per_word))
        self.add(name, perturbation=DRAWN[self.config.precision] * largest, **held)

    def backward(self, first, before=0):
        """The moments of the tail's backward pass, its first layer being block `first`, and of its steps.

        before: bytes of the steps of an earlier pass.  Returns how many bytes these steps have.
        """
        last = len(self.blocks) - 1
        inputs, made = self.activations(*range(first, last + 2)), 0
        for place in range(last, first - 1, -1):
            layer = self.blocks[place][0]
            error, below = self.numbers(place + 1), self.numbers(place)
            made += self.gradients(place)
            widening = 4 * error + widened(self.batch, layer.in_features) if self.int8 else 0
            self.add(f"gradient, {layer.name}", activations=inputs, gradients=before + made, errors=self.item * error,
                     scratch=widening)
            if place > first:   # two arrays of 4 bytes, before and behind the mask, and the mask's of 1
                self.add(f"backward, {layer.name}", activations=inputs, gradients=before + made,
                         errors=self.item * error + 8 * below + below)
        largest = max(self.gradients(place) for place in range(first, last + 1))   # stands beside its step for a while
        self.add("steps of the tail", activations=inputs, gradients=before + made + largest,
                 scratch=(4 * 4 * min(CHUNK, largest // 4)) if self.int8 else 0)
        return made


def widened(terms, columns):
    """Bytes of the int8 columns that a product widens at a time."""
    return 4 * terms * min(columns, max(1, WIDENED_BYTES // (4 * terms)))


def moments(config, full_bp):
    """The moments of one training step of a Config, in order.  Returns a list of Moment."""
    plan = Plan(config)
    if config.bp_tail == BP:
        full_bp(plan)
        return plan.moments
    tail = len(plan.blocks) - config.bp_tail
    both = config.tail_passes == "both" and config.bp_tail and not config.zo_frozen
    steps = 0
    if not config.zo_frozen:
        plan.perturb("+z")
        plan.forward(tail)
        if both:
            steps = plan.backward(tail)
        plan.perturb("-2z", gradients=steps)
    plan.forward(tail, "second forward", gradients=steps)
    if config.bp_tail:
        steps += plan.backward(tail, steps)
    if not config.zo_frozen:
        plan.perturb("+z and update", gradients=steps)
    if both:   # steps of two passes, and their sum, which is as large as one's; in FP32 each is halved into a new array
        halved = 0 if plan.int8 else max(plan.gradients(place) for place in range(tail, len(plan.blocks)))
        plan.add("sum of the steps", gradients=steps * 3 // 2 + halved)
    return plan.moments


def inference(config):
    """The moments of a forward pass over a batch with nothing trained."""
    plan = Plan(config)
    plan.forward(len(plan.blocks))
    return plan.moments


def peak(of):
    """The largest of some moments."""
    return max(of, key=lambda moment: moment.total)


def random_batch(config):
    """(images or clouds, labels) at random, so that no data set is needed: a batch as `train_step` takes it."""
    model, draw = models.of_run(config), np.random.default_rng(0)
    images = draw.integers(0, 256, (config.batch_size, *model.input_shape), dtype=np.uint8)
    if models.takes_points(model):
        clouds = (images / np.float32(255) - np.float32(0.5)) * np.float32(1.15)
        images = PRECISIONS[config.precision].decode_clouds(clouds)
    return images, draw.integers(0, model.classes, config.batch_size).astype(np.uint8)


def measure(config, method, steps=12, infer=False):
    """The peak that tracemalloc sees over training steps on random images (or over forward passes), in bytes.

    Of the peaks of the steps (at least 3) the second largest: once in a while a table of the interpreter's own grows
    by a megabyte. The first steps, which also load code and make threads, are not counted.
    """
    precision, model = PRECISIONS[config.precision], models.of_run(config)
    settings = settings_of(config, method, 0)
    peaks, at_first = [], None

    def run(step):
        if infer:
            precision.classify(model, weights, images)
        else:
            method.train_step(model, config.bp_tail, weights, images, labels, config.seed, step, settings)

    weights, (images, labels) = precision.initialise(config), random_batch(config)
    run(0)
    tracemalloc.start()
    try:
        weights, (images, labels) = precision.initialise(config), random_batch(config)
        run(0)
        for step in range(1, steps + 1):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            at_first = at_first or before
            run(step)
            peaks.append(tracemalloc.get_traced_memory()[1] - (before - at_first))
    finally:
        tracemalloc.stop()
    return sorted(peaks)[-2]


def report(config, method, full_bp, with_measurement):
    """The lines of the `memory` command."""
    workers = tiles.threads()
    step = moments(config, full_bp)
    highest = peak(step)
    yield (f"{config.model}, {config.precision}, K = {config.bp_tail}{', frozen' * config.zo_frozen}, batch "
           f"{config.batch_size}, {workers} thread{'s' * (workers > 1)}; bytes, predicted")
    yield f"    {'':14}{'at the peak':>14}{'at most':>14}      the peak is at: {highest.name}"
    for kind in KINDS:
        yield f"    {kind:14}{highest.held[kind]:14,}{max(moment.held[kind] for moment in step):14,}"
    yield f"    {'together':14}{highest.total:14,}"
    idle = peak(inference(config))
    yield f"    {'inference':14}{idle.total:14,}      the step takes {percent_more(highest.total, idle.total)} more"
    if with_measurement:
        measured = measure(config, method, 12 if workers == 1 else 50)
        yield (f"    {'measured':14}{measured:14,}      the prediction is {percent_more(highest.total, measured)} off"
               + (": it supposes all threads at their largest at once" if workers > 1 else ""))
        resident = system.largest_resident()
        yield (f"    {'resident set':14}{resident:14,}      the largest of this process, Python, NumPy and BLAS too"
               if resident else f"    {'resident set':14}{'-':>14}      this system does not tell it")


def percent_more(value, base):
    """By how much `value` exceeds `base`, as text."""
    return f"{100 * (value / base - 1):+.1f} %"
