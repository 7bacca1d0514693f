"""Cross-entropy in FP32: the loss whose difference gives the size of a ZO step."""
import numpy as np


def log_softmax(logits):
    """Logits minus the log-sum-exp of their row, from which the row's maximum is taken first so that nothing overflows.

    (N, classes) float32 -> (N, classes) float32.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(logits, labels):
    """The mean loss of a batch.

    logits: (N, classes) float32.  labels: (N,) integers.  Returns a Python float, in nats.
    """
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())
