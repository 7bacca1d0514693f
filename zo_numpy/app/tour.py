"""A walk through one step of ElasticZO-INT8 on a network small enough to print: python -m zo_numpy tour.

Every line is a function of this package, by its module and name, and what it returned here. The functions are called
one by one in the order in which `int8.elastic_zo.train_step` calls them; at the end that function makes the same step
in one call, and the weights have to be the same. The numbers are those of section 14 of int8/SPEC.md, under the same
names; a test compares them.
"""
import pprint
import textwrap

import numpy as np

from .. import models, rng, shapes
from ..int8 import arith, draws, elastic_zo, layers, loss, precision, tail
from ..models import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from ..run import steps
from ..run.checkpoint import digest

TINY = models.Model("tiny", (1, 4, 4), 3, (
    Conv2d("conv1", 1, 2, kernel=3, pad=1), MaxPool2d(2), ReLU(), Flatten(),
    Linear("fc1", 8, 4), ReLU(),
    Linear("fc2", 4, 3),
))
BP_TAIL = 2
SEED, STEP, LABELS = 133012, 0, [0, 2]
IMAGES = [[[[0, 64, 255, 12], [0, 128, 250, 0], [0, 200, 191, 0], [9, 255, 90, 0]]],
          [[[0, 0, 0, 0], [33, 90, 140, 60], [255, 255, 254, 201], [0, 17, 0, 0]]]]
HEADROOM = {"conv1": 0, "fc1": 1, "fc2": 1}
SETTINGS = elastic_zo.Settings(r_max=7, p_zero=64, b_zo=1, b_bp=3, r_limit=7)
INPUT = {"K": BP_TAIL, "seed": SEED, "step": STEP, "r_max": SETTINGS.r_max, "p_zero": SETTINGS.p_zero,
         "b_zo": SETTINGS.b_zo, "b_bp": SETTINGS.b_bp, "R": SETTINGS.r_limit, "headroom": list(HEADROOM.values()),
         "images": IMAGES, "labels": LABELS}
WIDTH = 118
COLUMN = 39       # where the value begins, after the function's name


def plain(value):
    """An array as nested lists, copied: weights change in place."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _value_text(name, value, width):
    """A value in as many lines as it needs, random words in hexadecimal."""
    if not name.endswith("words"):
        return pprint.pformat(value, width=width, compact=True)
    digits = 4 if name.endswith("half_words") else 16
    return "[" + textwrap.fill(", ".join(f"0x{word:0{digits}x}" for word in value), width) + "]"


def written(name, value, width=112):
    """`name = value`, the value in lines of its own if one line is too short."""
    text = _value_text(name, value, width - 4)
    if "\n" not in text and len(name) + 3 + len(text) <= width:
        return f"{name} = {text}"
    return f"{name} =\n" + textwrap.indent(text, "    ")


def called(function):
    """'int8.arith.requantise' of the function itself."""
    return f"{function.__module__.removeprefix('zo_numpy.')}.{function.__qualname__}"


class Tour:
    """The walk: `values` maps the names of SPEC.md's example to what was computed, `say` is given every line."""

    def __init__(self, say):
        self.say, self.values = say, {}
        self.images, self.labels = np.array(IMAGES, np.uint8), np.array(LABELS, np.uint8)
        self.linears = models.weight_layers(models.split_tail(TINY.layers, BP_TAIL)[1])

    def did(self, function, name, value):
        """One line, the value as it is now."""
        self.values[name] = value = plain(value)
        text = _value_text(name, value, WIDTH - 4)
        if "\n" in text or COLUMN + len(name) + 3 + len(text) > WIDTH:
            text = "\n" + textwrap.indent(text, "    ")
        self.say(f"  {called(function):{COLUMN - 2}}{name} = {text}".replace(" = \n", " =\n"))

    def chapter(self, text):
        self.say("")
        for line in textwrap.wrap(text, WIDTH):
            self.say(line)

    def requantised(self, prefix, accumulator, exponent):
        """int32 -> int8, with its maximum and shift.  Returns a QTensor."""
        self.did(arith.max_abs, prefix + "max", arith.max_abs(accumulator))
        self.did(arith.requantise_shift, prefix + "shift", arith.requantise_shift(accumulator))
        out = arith.requantise(accumulator, exponent)
        self.did(arith.requantise, prefix + "data", out.data)
        self.did(arith.requantise, prefix + "exponent", out.exponent)
        return out

    def inputs(self):
        self.say("One step of ElasticZO-INT8, the worked example of section 14 of zo_numpy/int8/SPEC.md.")
        self.say("Each line: the function of zo_numpy that did it, the value's name in SPEC.md, the value, in C order.")
        self.chapter("What is given. r_max, p_zero: size and sparsity of z; b_zo, b_bp: bits left of the two updates; "
                     "R: ZO weights stay in +-(127 - R); headroom: bits that initial weights leave free.")
        for name, value in INPUT.items():
            self.values[name] = value
            self.say(written(name, value, WIDTH))

    def initial_weights(self):
        self.chapter("1. The weights: random words, then int8 data and one exponent a layer; value = data * "
                     "2^exponent. The ones that ZO trains are clipped, so that theta +- z never leaves int8.")
        weights = draws.init_weights(TINY, SEED, HEADROOM)
        for tensor, (name, weight) in enumerate(weights.items()):
            drawn = rng.words(SEED, rng.INIT, 0, tensor, 0, -(-weight.data.size // 4))
            self.did(rng.words, f"init.{name}.words", drawn)
            self.did(draws.init_weights, f"init.{name}.data", weight.data)
            self.did(draws.init_weights, f"init.{name}.exponent", weight.exponent)
        precision.clip_for_zo(weights, elastic_zo.zo_tensors(TINY, BP_TAIL), SETTINGS.r_limit)
        self.did(precision.clip_for_zo, "theta.conv1", weights["conv1"].data)
        return weights

    def perturbation(self, weights):
        self.chapter("2. z, the perturbation of theta: four half-words of 16 bits a word, one a weight. It is printed "
                     "here, but no step ever stores it: seed and step draw it again.")
        theta = weights["conv1"].data
        address = SEED, rng.PERTURB, STEP, 0, 0
        self.did(rng.words, "z.words", rng.words(*address, -(-theta.size // 4)))
        self.did(rng.half_words, "z.half_words", rng.half_words(*address, theta.size))
        z = draws.perturbation(*address[:1], *address[2:], theta.size, SETTINGS.r_max, SETTINGS.p_zero).reshape(theta.shape)
        self.did(draws.perturbation, "z.data", z)
        return z

    def forward(self, phase, weights):
        """One forward pass.  Returns (logits, [input of each layer of the tail], loss)."""
        x, inputs = layers.network_input(self.images), []
        if phase == "plus":
            self.did(arith.from_pixels, "input.data", x.data)
            self.did(arith.from_pixels, "input.exponent", x.exponent)
        for block in models.blocks(TINY.layers):
            inputs += [x] if block[0] in self.linears else []      # what the backward pass needs
            name = block[0].name
            weight, value = weights[name], x.data
            for layer in block:
                match layer:
                    case Conv2d():
                        value = layers.conv2d(value, weight.data, layer.pad)
                        self.did(layers.conv2d, f"{phase}.{name}.accumulator", value)
                    case Linear():
                        value = layers.linear(value, weight.data)
                        self.did(layers.linear, f"{phase}.{name}.accumulator", value)
                    case MaxPool2d():
                        value = shapes.max_pool2d(value, layer.size)
                        self.did(shapes.max_pool2d, f"{phase}.{name}.pooled", value)
                    case ReLU():
                        value = shapes.relu(value)
                        self.did(shapes.relu, f"{phase}.{name}.relu", value)
                    case Flatten():
                        value = shapes.flatten(value)
            x = self.requantised(f"{phase}.{name}.", value, x.exponent + weight.exponent)
        return x, inputs, self.loss(phase, x)

    def loss(self, phase, logits):
        u = loss.base2_logits(logits)
        terms = loss.exp2_terms(u)
        total = terms.sum(axis=1)
        each = [loss.cross_entropy(arith.QTensor(logits.data[i:i + 1], logits.exponent), self.labels[i:i + 1])
                for i in range(len(self.labels))]
        self.did(loss.base2_logits, f"{phase}.u", u)
        self.did(loss.exp2_terms, f"{phase}.terms", terms)
        self.did(loss.cross_entropy, f"{phase}.T", total)
        self.did(loss.log2_sum, f"{phase}.log2T", loss.log2_sum(total))
        self.did(loss.cross_entropy, f"{phase}.losses", each)
        whole = loss.cross_entropy(logits, self.labels)
        self.did(loss.cross_entropy, f"{phase}.L", whole)
        return whole

    def tail(self, weights, logits, inputs):
        """Backpropagation through the tail.  Returns {name: step}."""
        self.chapter("5. The tail, from what the second pass left: softmax to 15 bits minus the label's one, then "
                     "layer by layer downwards. Below fc1 no error goes: that is what ZO spares.")
        terms = loss.exp2_terms(loss.base2_logits(logits))
        error = (terms << tail.SOFTMAX_BITS) // terms.sum(axis=1, keepdims=True)
        self.did(tail.softmax_error, "tail.softmax", error)
        error[np.arange(len(self.labels)), self.labels] -= 1 << tail.SOFTMAX_BITS
        self.did(tail.softmax_error, "tail.softmax_error", error)
        error = self.requantised(f"tail.{self.linears[-1].name}.error_", error.astype(np.int32), -tail.SOFTMAX_BITS)
        changes = {}
        for i in reversed(range(len(self.linears))):
            name = self.linears[i].name
            gradient = tail.linear_gradient(error.data, inputs[i].data)
            changes[name] = tail.gradient_step(gradient, SETTINGS.b_bp)
            largest = arith.max_abs(gradient)
            self.did(tail.linear_gradient, f"tail.{name}.gradient", gradient)
            self.did(arith.max_abs, f"tail.{name}.gradient_max", largest)
            shift = tail.own_shift(largest, SETTINGS.b_bp)
            self.did(tail.own_shift, f"tail.{name}.gradient_shift", shift)
            self.did(tail.gradient_step, f"tail.{name}.step", changes[name])
            self.other_scale(largest, error.exponent + inputs[i].exponent, shift)
            if i > 0:
                below = self.linears[i - 1].name
                passed = tail.linear_backward(error.data, weights[name].data)
                self.did(tail.linear_backward, f"tail.{below}.passed", passed)
                masked = tail.relu_backward(passed, inputs[i].data)
                self.did(tail.relu_backward, f"tail.{below}.masked", masked)
                error = self.requantised(f"tail.{below}.error_", masked, error.exponent + weights[name].exponent)
        return changes

    def other_scale(self, largest, exponent, shift):
        """A line on what `--tail-scale running` would make of a gradient, two bits below its layer's reference."""
        width = arith.bit_width(largest)
        running = tail.running_shift(largest, exponent, SETTINGS.b_bp, np.array([width + exponent + 2, 0], np.int32))
        self.say(f"  (--tail-scale own shifts by {shift}, as this gradient has {width} bits; running by {running}, if "
                 "the largest of late had two more)")

    def walk(self):
        """The whole step.  Raises AssertionError if `train_step` would have made another one."""
        self.inputs()
        weights = self.initial_weights()
        copies = {name: arith.QTensor(weight.data.copy(), weight.exponent) for name, weight in weights.items()}
        zo_names = elastic_zo.zo_tensors(TINY, BP_TAIL)
        z = self.perturbation(weights)

        self.chapter("3. theta += z, and the first forward pass: L+. A block of layers is summed in int32 and becomes "
                     "int8 once, at its end.")
        elastic_zo.perturb(weights, zo_names, +1, SEED, STEP, SETTINGS)
        self.did(elastic_zo.perturb, "plus.conv1.weight", weights["conv1"].data)
        self.forward("plus", weights)

        self.chapter("4. theta -= 2 z, and the second forward pass: L-. Nothing of the first is kept but its loss.")
        elastic_zo.perturb(weights, zo_names, -2, SEED, STEP, SETTINGS)
        self.did(elastic_zo.perturb, "minus.conv1.weight", weights["conv1"].data)
        logits, inputs, _ = self.forward("minus", weights)
        changes = self.tail(weights, logits, inputs)

        self.chapter("6. g = sgn(L+ - L-), the ZO gradient: all that ZO learns from two passes is one sign. theta += z "
                     "restores it, and theta -= g * z, scaled to b_zo bits, is the update; the tail moves by its step.")
        shift = elastic_zo.zo_shift(SETTINGS)
        self.did(elastic_zo.zo_shift, "zo_shift", shift)
        self.did(arith.pseudo_stochastic_shift, "zo_step.conv1", arith.pseudo_stochastic_shift(z, shift))
        g = elastic_zo.zo_gradient(self.values["plus.L"], self.values["minus.L"])
        self.did(elastic_zo.zo_gradient, "g", g)
        elastic_zo.restore_and_update(weights, zo_names, g, SEED, STEP, SETTINGS)
        self.did(elastic_zo.restore_and_update, "end.conv1", weights["conv1"].data)
        tail.update_tail(weights, changes)
        for layer in self.linears:
            self.did(tail.update_tail, f"end.{layer.name}", weights[layer.name].data)

        outcome = elastic_zo.train_step(TINY, BP_TAIL, copies, self.images, self.labels, SEED, STEP, SETTINGS)
        self.chapter("7. The same batch after the step, and the line that a run writes into steps.txt: step, L+, L-, g "
                     "and, here after the last one, the digest of the weights.")
        self.did(precision.scores, "end.logits", precision.scores(TINY, weights, self.images))
        self.did(precision.classify, "end.classes", precision.classify(TINY, weights, self.images))
        line = steps.log_line(1, 1, outcome, lambda: digest(precision.to_arrays(copies)[0]))
        self.did(steps.log_line, "steps.txt", line)
        if (outcome != (self.values["plus.L"], self.values["minus.L"], g)
                or any(np.any(weights[name].data != copies[name].data) for name in weights)):
            raise AssertionError("train_step made another step than the one walked through")
        self.chapter("int8.elastic_zo.train_step made the same step in one call: the losses and all weights are equal.")
        return self.values
