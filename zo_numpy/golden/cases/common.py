"""What tables of golden op vectors are made of: ops, flags and cases; their numbers to and from JSON.

A flag is one bug that a port may have. A case carries it exactly if an implementation with that bug, and no
other, gives another answer there; `shows` decides that from the case itself: lambda i, p, e in the tables, of
its inputs, parameters and expectation. The tests hold an implementation with each bug and see that it fails
the cases that carry the flag and passes the others.
"""
from typing import Callable, NamedTuple

import numpy as np

from ... import models
from ...int8.arith import INT8_MAX, QTensor
from ...int8.draws import uniform_int8

DATA_SEED = 2501   # of the made-up tensors; any number would do
INT32_MAX = 2**31 - 1


class Flag(NamedTuple):
    """One porting bug."""
    catches: str                  # the bug, in one sentence
    shows: Callable | None = None        # shows(inputs, parameters, expected): is it seen?  None: the cases say


class Case(NamedTuple):
    """One line of a file, before its expectation is computed."""
    comment: str
    inputs: dict = {}             # tensors, as nested lists of ints or {"data": ..., "exponent": ...}
    parameters: dict = {}         # numbers and names
    flags: tuple = ()             # names of the flags whose `shows` is None that this case carries


class Op(NamedTuple):
    """One file of vectors."""
    description: str
    compute: Callable             # compute(inputs, parameters) -> expected, all of it JSON-able
    flags: dict                   # {name: Flag}
    cases: list                   # of Case


def always(inputs, parameters, expected):
    """The predicate of a bug that no case survives."""
    return True


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
    return integers(values, np.int32, -INT32_MAX - 1, INT32_MAX)


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
    """The layers of models.py that `described` describes."""
    return tuple(getattr(models, layer["type"])(**{name: layer[name] for name in layer if name != "type"})
                 for layer in descriptions)


# To JSON.

def described(layers):
    """Layers as a list of {"type": .., and the fields of the type in models.py}."""
    return [{"type": type(layer).__name__, **layer._asdict()} for layer in layers]


def listed(tensor):
    """A QTensor as {"data": ..., "exponent": n}."""
    return {"data": tensor.data.tolist(), "exponent": tensor.exponent}


# Made-up inputs.

def made_up(number, shape, bound=INT8_MAX):
    """Uniform integers in [-bound, bound], as a nested list; each number is another tensor."""
    return uniform_int8(DATA_SEED, number, int(np.prod(shape)), bound).reshape(shape).tolist()


def filled(value, shape):
    return np.full(shape, value).tolist()


def scaled(values, factor):
    """A nested list of ints times an int."""
    return (np.array(values) * factor).tolist()


# What predicates ask.

def flat(values):
    """The elements of a nested list, in C order, as Python ints."""
    return np.array(values, object).ravel().tolist()


def has_negative(values):
    return any(v < 0 for v in flat(values))


def axes(name, *which):
    """The lengths of some axes of a four-dimensional input."""
    return lambda inputs: tuple(np.shape(inputs[name])[axis] for axis in which)


def beyond(values, largest):
    """Whether any magnitude exceeds `largest`."""
    return any(abs(v) > largest for v in flat(values))


def any_sum(inputs, parameters, expected):
    """Whether not all sums of products are 0."""
    return any(flat(expected["accumulator"]))


def product_sum_beyond_int16(inputs, parameters, expected):
    """The predicate of a sum of products kept in 16 bits."""
    return beyond(expected["accumulator"], 2**15 - 1)
