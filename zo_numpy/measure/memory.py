"""Bytes of a training step by kind of tensor, predicted from the configuration.

A step is a sequence of moments, each with what is held while it runs; its peak is the largest of them. Batch, weights
and all that a step makes count, the data set does not. peak.py measures the same. Full BP, which keeps whole gradients
and the input of every layer, is measured and not predicted.

    parameters      weights, and biases in FP32
    perturbation    a piece of z, with the random words that make it
    activations     images, and what layers hand to the next one
    scratch         tiles of patches and sums, widened operands, intermediates of an operation
    tail            errors passed back through the tail, pieces of its gradients, steps that wait for a second pass
"""
from typing import NamedTuple

from .. import models, tiles
from ..fp32 import draws as fp32_draws, tiled as fp32_tiled
from ..int8 import draws as int8_draws, tiled as int8_tiled
from ..int8.arith import CHUNK, WIDENED_BYTES
from ..run.config import BP
from ..run.steps import PRECISIONS

KINDS = ("parameters", "perturbation", "activations", "scratch", "tail")
OBJECTS = 8_000   # bytes of Python objects that a step holds
EINSUM_BUFFER = 32_768   # bytes in which einsum widens an operand
DRAWN = {"int8": 4, "fp32": 8}   # bytes that an element of z takes at most while it is drawn and added


class _Moment(NamedTuple):
    """What is held at one moment of a step: its name, and {kind: bytes}."""
    name: str
    held: dict

    @property
    def total(self):
        return sum(self.held.values())


def moments(config):
    """The moments of one training step of a Config that ZO has a part in, in order.  Returns a list of _Moment."""
    plan = _Plan(config)
    tail = len(plan.blocks) - config.bp_tail
    both = config.tail_passes == "both" and config.bp_tail and not config.zo_frozen
    waiting = plan.steps(tail) if both else 0     # bytes of the steps of the first pass
    if not config.zo_frozen:
        plan.add("z", perturbation=DRAWN[config.precision] * plan.piece(), tail=waiting)
    plan.forward(len(plan.blocks) if not waiting else tail, waiting)
    plan.forward(tail, waiting)
    if config.bp_tail:
        plan.backward(tail, waiting)
    return plan.moments


def inference(config):
    """The moments of a forward pass over a batch with nothing trained."""
    plan = _Plan(config)
    plan.forward(len(plan.blocks))
    return plan.moments


def peak(of):
    """The largest of some moments."""
    return max(of, key=lambda moment: moment.total)


class _Plan:
    """Collects the moments of a step and knows the sizes they have in common."""

    def __init__(self, config):
        self.precision, self.moments = PRECISIONS[config.precision], []
        self.int8, self.batch, self.bp_tail = config.precision == "int8", config.batch_size, config.bp_tail
        self.item = 1 if self.int8 else 4        # bytes of a stored number
        model = models.of_run(config)
        self.points = models.takes_points(model)
        self.layers = models.integer_layers(model.layers) if self.int8 else model.layers
        self.blocks, self.shapes = models.blocks(self.layers), [model.input_shape]
        for block in self.blocks:
            self.shapes.append(models.output_shape(block, self.shapes[-1]))
        running = 2 * sum(layer.channels for layer in self.layers if isinstance(layer, models.BatchNorm))
        learned = sum(map(self.precision.parameter_count, self.layers))
        self.always = {"parameters": self.item * (learned + running), "scratch": OBJECTS,
                       "activations": self.numbers(0) * (self.item if self.points else 1)}

    def add(self, name, **held):
        """A moment: what is always held, and `held` on top of it."""
        self.moments.append(_Moment(name, {kind: self.always.get(kind, 0) + held.get(kind, 0) for kind in KINDS}))

    def numbers(self, place):
        """How many numbers of the batch there are before block `place`."""
        return self.batch * models.size(self.shapes[place])

    def kept(self, first, last=None):
        """Bytes of the inputs of blocks `first` to `last`, the batch itself not among them."""
        return self.item * sum(self.numbers(place) for place in range(max(1, first), (last or len(self.blocks)) + 1))

    def piece(self):
        """The largest piece of z, in elements."""
        most = (int8_draws if self.int8 else fp32_draws).PIECE
        head = self.layers if not self.bp_tail else models.split_tail(self.layers, self.bp_tail)[0]
        return min(most, max(models.weight_count(layer) for layer in models.weight_layers(head)))

    def steps(self, tail):
        """Bytes of the steps of a whole tail."""
        return (2 if self.int8 else 4) * sum(sum(map(self.precision.parameter_count, block))
                                             for block in self.blocks[tail:])

    def forward(self, tail, waiting=0):
        """The moments of a forward pass; block `tail` and those that follow keep their inputs."""
        for place, block in enumerate(self.blocks):
            made, into = self.numbers(place + 1), self.kept(place, place) if place else 0
            into += self.kept(tail, place - 1) if place > tail else 0
            name, kinds = f"forward, {block[0].name}", {type(layer) for layer in block}
            if models.PointLinear in kinds:
                self.point_block(name, place, into, waiting, pooled=models.MaxOverPoints in kinds)
            elif self.int8 and models.ReLU not in kinds:   # int32 sums stand whole, then int8 beside them
                self.add(name, activations=into, scratch=4 * made + self.tile(place), tail=waiting)
                self.add(name + ", requantise", activations=into + made, scratch=4 * made + 12 * min(CHUNK, made),
                         tail=waiting)
            else:
                self.add(name, activations=into + self.item * made, scratch=self.tile(place), tail=waiting)

    def tile(self, place):
        """What all threads together hold while they run tiles of a block on images or features."""
        block, shape = self.blocks[place], self.shapes[place]
        layer, out = block[0], models.size(models.output_shape(block[:1], shape))
        length, workers = tiles.tiling(block, shape, self.batch, "int32" if self.int8 else "float32")
        cut = tiles.cut(self.batch, length, workers)
        length, workers = max(part.stop - part.start for part in cut), min(workers, len(cut))
        one = 0 if place or self.points else self.item * length * models.size(shape)   # decoded pixels
        if isinstance(layer, models.Conv2d):
            one += length * tiles.scratch_bytes(layer, shape) + models.weight_count(layer) * (5 if self.int8 else 4)
            one += 0 if self.int8 else 4 * length * out      # a product that is added to the others
        elif not self.int8:
            one += 4 * length * out
        else:
            one += 4 * length * out + (5 * length * models.fan_in(layer) + _widened(models.fan_in(layer), layer.out_features)
                                       if self.batch > 1 else 2 * EINSUM_BUFFER)
        return workers * one

    def point_block(self, name, place, into, waiting, pooled):
        """The moments of a block on points."""
        layer, (points, channels) = self.blocks[place][0], self.shapes[place]
        made, weights, workers = self.numbers(place + 1), 4 * models.weight_count(layer), tiles.threads()
        if not place and not pooled:
            into += self.item * self.numbers(0)   # the clouds once more, in memory order (C, N, P)
        if pooled:
            height = min(layer.out_channels, max(1, int8_tiled.POINT_TILE_BYTES // (4 * points)))
            tile = 4 * points * (height + channels * self.int8)
            self.add(name, activations=into + 4 * made, scratch=weights + min(workers, self.batch) * tile, tail=waiting)
            return
        columns = self.batch * points
        length = min(columns, max(1, int8_tiled.POINT_TILE_BYTES // (4 * layer.out_channels)))
        tile = 4 * length * (channels + layer.out_channels) if self.int8 else 0
        self.add(name, activations=into + self.item * made, tail=waiting,
                 scratch=weights + min(workers, -(-columns // length)) * tile)

    def backward(self, tail, waiting):
        """The moments of the tail's backward pass and of its update."""
        for place in range(len(self.blocks) - 1, tail - 1, -1):
            layer, error, below = self.blocks[place][0], self.numbers(place + 1), self.numbers(place)
            inputs = self.kept(tail, place)
            if place > tail:   # two arrays of 4 bytes, before and after the mask, and the mask's of 1
                self.add(f"error, {layer.name}", activations=inputs, tail=waiting + self.item * error + 9 * below)
            size = 4 * models.weight_count(layer)
            if self.int8:   # a piece or the whole, and three intermediates of a piece's shift
                piece = min(size, int8_tiled.piece_bytes(below))
                held = error + 3 * piece + (size if int8_tiled.formed_once(self.batch, layer.out_features) else piece)
            else:
                held = 4 * error + min(size, max(fp32_tiled.GRADIENT_BYTES, 8 * layer.in_features))
            self.add(f"update, {layer.name}", activations=inputs,
                     tail=held + waiting + self.item * below * (place > tail))


def _widened(terms, columns):
    """Bytes of the int8 matrix that a product widens at a time."""
    return min(4 * terms * columns, WIDENED_BYTES)


def report(config, measured=None, resident=None):
    """The lines of the `memory` command.  measured, resident: bytes, where they were asked for."""
    workers = tiles.threads()
    yield (f"{config.model}, {config.precision}, K = {config.bp_tail}{', frozen' * config.zo_frozen}, batch "
           f"{config.batch_size}, {workers} thread{'s' * (workers > 1)}; bytes, "
           + ("measured: full BP is not predicted" if config.bp_tail == BP else "predicted"))
    if config.bp_tail == BP:
        yield f"    {'measured':14}{measured:14,}"
        return
    step, idle = moments(config), peak(inference(config))
    highest = peak(step)
    yield f"    {'':14}{'at the peak':>14}{'at most':>14}      the peak is at: {highest.name}"
    for kind in KINDS:
        yield f"    {kind:14}{highest.held[kind]:14,}{max(moment.held[kind] for moment in step):14,}"
    yield f"    {'together':14}{highest.total:14,}"
    yield f"    {'inference':14}{idle.total:14,}      the step takes {_percent_more(highest.total, idle.total)} more"
    if measured:
        yield (f"    {'measured':14}{measured:14,}      the prediction is {_percent_more(highest.total, measured)} off"
               + (": it supposes all threads at their largest at once" if workers > 1 else ""))
        yield (f"    {'resident set':14}{resident:14,}      the largest of this process, Python, NumPy and BLAS too"
               if resident else f"    {'resident set':14}{'-':>14}      this system does not tell it")


def _percent_more(value, base):
    """By how much `value` exceeds `base`, as text."""
    return f"{100 * (value / base - 1):+.1f} %"
