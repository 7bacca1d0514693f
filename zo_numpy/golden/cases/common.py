"""What tables of golden op vectors are made of: ops and cases; their numbers to and from JSON."""
from typing import Callable, NamedTuple

import numpy as np

from ... import models
from ...int8 import arith
from ...int8.arith import INT8_MAX, QTensor
from ...int8.draws import uniform_int8
from ...run.network import described


class Case(NamedTuple):
    """One line of a file, before its expectation is computed."""
    comment: str
    inputs: dict = {}       # tensors, as nested lists of ints or {"data": ..., "exponent": ...}
    parameters: dict = {}   # numbers and names


class Op(NamedTuple):
    """One file of vectors."""
    description: str
    compute: Callable       # compute(inputs, parameters) -> expected, all of it JSON-able
    flags: dict             # {name: the bug that it catches, in one sentence}
    cases: list             # of Case


INT16 = "The accumulator has 16 bits and wraps."   # a flag of many ops


# From JSON.

def integers(values, dtype, lowest, highest):
    """A nested list of ints as an array.  Raises ValueError if it is ragged, not of ints, or out of range."""
    array = np.array(values)
    if array.size and (array.dtype.kind not in "iu" or array.min() < lowest or array.max() > highest):
        raise ValueError(f"not an array of integers from {lowest} to {highest}")
    return array.astype(dtype)


def int8(values):
    return integers(values, np.int8, -INT8_MAX, INT8_MAX)


def int32(values):
    return integers(values, np.int32, -2**31, 2**31 - 1)


def int64(values):
    return integers(values, np.int64, -2**63, 2**63 - 1)


def uint8(values):
    return integers(values, np.uint8, 0, 255)


def quantised(tensor):
    """{"data": ..., "exponent": n} as a QTensor."""
    return QTensor(int8(tensor["data"]), int(tensor["exponent"]))


def class_labels(labels, logits):
    """Labels as an array, one for each row of the logits.  Raises ValueError if they are not."""
    labels = integers(labels, np.int64, 0, logits.data.shape[1] - 1)
    if labels.shape != logits.data.shape[:1]:
        raise ValueError("not one label a sample")
    return labels


def layers_from(descriptions):
    """The layers of models.py that `network.described` describes."""
    return tuple(getattr(models, layer["type"])(**{name: layer[name] for name in layer if name != "type"})
                 for layer in descriptions)


# To JSON.

def listed(tensor):
    """A QTensor as {"data": ..., "exponent": n}."""
    return {"data": tensor.data.tolist(), "exponent": tensor.exponent}


# Made-up inputs.

DATA_SEED = 2501   # any number would do


def made_up(number, shape, bound=INT8_MAX):
    """Uniform integers in [-bound, bound], as a nested list; each number is another tensor."""
    return uniform_int8(DATA_SEED, number, int(np.prod(shape)), bound).reshape(shape).tolist()


def filled(value, shape):
    return np.full(shape, value).tolist()


def scaled(values, factor):
    """A nested list of ints times an int."""
    return (np.array(values) * factor).tolist()


# What several files have.

def logits_case(comment, data, exponent, labels=None):
    logits = {"logits": {"data": data, "exponent": exponent}}
    return Case(comment, logits if labels is None else {**logits, "labels": labels})


def block_case(comment, block, x, weight, exponents=(-7, -9)):
    inputs = {"x": {"data": x, "exponent": exponents[0]}, "weight": {"data": weight, "exponent": exponents[1]}}
    return Case(comment, inputs, {"layers": described(block)})


def block_of(forward_block):
    """The `compute` of a block: a layer with weights and the layers up to its requantisation."""
    def compute(inputs, parameters):
        block = layers_from(parameters["layers"])
        x, weight = quantised(inputs["x"]), quantised(inputs["weight"])
        seen = []
        result = forward_block(block, {block[0].name: weight}, x, lambda op, name, value: seen.append(value))
        stages = seen[:-1]
        return {"accumulator": stages[0].tolist(), "after": [stage.tolist() for stage in stages[1:]],
                "maximum": arith.max_abs(stages[-1]), "shift": arith.requantise_shift(stages[-1]), **listed(result)}
    return compute
