"""How a bug, as bugs.py defines it, is put into the twins."""
import contextlib
import struct

import twin_ops
import twin_runs
import twins
import twins_training
from twins import mapped


@contextlib.contextmanager
def replaced(**functions):
    """Within it, the twins use these functions (or constants) in place of those of the same names."""
    before = [(module, name, getattr(module, name)) for module in (twins, twins_training, twin_ops, twin_runs)
              for name in functions if hasattr(module, name)]
    assert {name for _, name, _ in before} == set(functions)
    try:
        for module, name, _ in before:
            setattr(module, name, functions[name])
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def using(**functions):
    """The bug of a port in which these functions stand in place of those of the same names."""
    def bug(twin, i, p):
        with replaced(**functions):
            return twin(i, p)
    return bug


def misread(inputs=None, **parameters):
    """The bug of a port that takes its inputs or parameters for others: those of inputs(i), name=f(p)."""
    return lambda twin, i, p: twin({**i, **inputs(i)} if inputs else i,
                                   {**p, **{name: f(p) for name, f in parameters.items()}})


def answering(**fields):
    """The bug of a port that gives something else: field=f(inputs, parameters, right answer)."""
    def bug(twin, i, p):
        right = twin(i, p)
        return {**right, **{name: f(i, p, right) for name, f in fields.items()}}
    return bug


def of_elements(name, change):
    """The bug of a port that changes each element of an input."""
    return misread(lambda i: {name: mapped(change, i[name])})


def unsigned(name):
    return of_elements(name, lambda v: v % 256)


def cut_to_16_bits(name):
    return of_elements(name, lambda v: wrapped(v, 16))


INT16_ACCUMULATOR = answering(accumulator=lambda i, p, right: mapped(lambda v: wrapped(v, 16), right["accumulator"]))


def wrapped(value, bits):
    """An int cut to a signed number of so many bits, as two's complement does."""
    return (value + 2**(bits - 1)) % 2**bits - 2**(bits - 1)


def float32(value):
    """The value of the 32-bit float next to a number."""
    return struct.unpack("<f", struct.pack("<f", value))[0]
