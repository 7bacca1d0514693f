"""The cross-entropy of integer logits in float64: what the integer loss is measured against.

`train --loss float` lets it decide the sign of g in place of the integer loss, to show what integers cost. It is a
comparison, no part of the integer path: it stands outside zo_numpy, no contract or golden vector knows it, and
everything else of such a run is integers as ever.
"""
import numpy as np

from zo_numpy.int8.loss import FRACTION_BITS


def float_cross_entropy(logits, labels):
    """Cross-entropy in nats of integer logits, summed over the batch, in float64.

    logits: QTensor (N, classes).  labels: (N,) integers.  Returns a Python float, >= 0 but for rounding.
    """
    values = logits.data.astype(np.float64) * 2.0**logits.exponent
    largest = values.max(axis=1)
    log_sums = np.log(np.exp(values - largest[:, None]).sum(axis=1)) + largest
    return float((log_sums - values[np.arange(len(labels)), labels]).sum())


def cross_entropy(logits, labels):
    """`float_cross_entropy` in the unit of the integer loss, 2^-22 bits, not rounded to a whole number.

    steps.txt shows it in the shortest form that reads back as the same float64, so g is the sign of the difference of
    the two numbers shown; with several queries their means are rounded down. Its last digits are those of this
    machine's exp and log.
    """
    return float_cross_entropy(logits, labels) / np.log(2).item() * 2.0**FRACTION_BITS
