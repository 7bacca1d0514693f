"""INT8 backward passes of the layers of a tail, linear and ReLU, and the update of their weights, written plainly.

The tail is the last K fully-connected layers, trained by backpropagation from the activations of the second forward
pass of a ZO step. No layer below the tail has a backward pass: that asymmetry is ElasticZO.

A weight moves by whole units. So a gradient, whose sums may have 31 bits, is first shifted down to a few bits. How far
it is shifted is the scale of the step. There are two scales:

    own       shift = width(max |G|) - b_bp: the largest step of every batch has b_bp bits. This is NITI's rule. It
              misleads if batches are small: a sample that is classified correctly has a small gradient, but moves
              the weights as far as one that is not.
    running   shift = reference - b_bp - exponent(G): a gradient as large as the largest recent one gets b_bp bits,
              a smaller one fewer, down to none. The reference is the size in bits of that largest gradient. It
              includes the exponents of error and input, so it means the same in all steps. It rises at once to a
              larger gradient, and falls by one when FALL_AFTER gradients in a row did not reach it.
"""
import numpy as np

from .. import models
from .arith import INT8_MAX, QTensor, bit_width, check_terms, matmul, max_abs, pseudo_stochastic_shift, requantise
from .loss import base2_logits, exp2_terms

SOFTMAX_BITS = 15
SCALE = ".scale"       # after a layer's name: the key of its running scale among the weights, int32 (reference, age)
FIRST_REFERENCE = -1024   # below the size of any gradient, so the first gradient sets it
FALL_AFTER = 64        # gradients in a row below the reference before it falls by one
LARGEST_SHIFT = 30     # of an int32


def softmax_error(logits, labels):
    """dL/dlogits of cross-entropy, where the backward pass begins: softmax to 15 bits by floor division, minus
    one-hot, requantised (CHOICE 7).

    logits: QTensor (N, classes).  labels: (N,).  Returns QTensor (N, classes).
    """
    terms = exp2_terms(base2_logits(logits))                                              # (N, classes) int64
    softmax = (terms << SOFTMAX_BITS) // terms.sum(axis=1, keepdims=True)
    softmax[np.arange(len(labels)), labels] -= 1 << SOFTMAX_BITS
    return requantise(softmax.astype(np.int32), -SOFTMAX_BITS)


def linear_gradient(error, x):
    """dL/dweight of a linear layer, summed over the batch.

    error: (N, out) int8.  x: (N, in) int8.  Returns (out, in) int32; N <= MAX_TERMS.
    """
    check_terms(error.shape[0])
    return matmul(error.T, x)


def linear_backward(error, weight):
    """dL/dinput of a linear layer: the error passed back through its weights.

    error: (N, out) int8.  weight: (out, in) int8, as it was in the forward pass.  Returns (N, in) int32.
    """
    check_terms(weight.shape[0])
    return matmul(error, weight)


def relu_backward(error, x):
    """Zero where the ReLU was off (CHOICE 20).

    error: (N, features) int32.  x: the stored int8 activation after the ReLU, same shape.  Returns int32.
    """
    return np.where(x > 0, error, 0)


def tail_gradients(tail, weights, logits, inputs, labels, record=None):
    """Backpropagation through the tail.  Returns {name: gradient}, last layer first; no weight is changed (CHOICE 21).

    A gradient has an exponent too, but its data are int32: QTensor (out, in).

    logits: QTensor (N, classes).  inputs: [QTensor], the input of each linear layer.  labels: (N,) integers.
    record: None, or called as record(op, name, array) with what each op returns; name is that of the layer whose
    weights it is about. relu_backward, where a ReLU stands below that layer, and requantise_error have the name of the
    linear_backward before them.
    """
    def noted(op, name, value):
        if record:
            record(op, name, value)
        return value

    gradients = {}
    linears, masked = models.weight_layers(tail), models.after_relu(tail)
    error = noted("softmax_error", linears[-1].name, softmax_error(logits, labels)) if linears else None
    for i in range(len(linears) - 1, -1, -1):
        name, x = linears[i].name, inputs[i]
        sums = noted("linear_gradient", name, linear_gradient(error.data, x.data))
        gradients[name] = QTensor(sums, error.exponent + x.exponent)
        if i > 0:
            passed = noted("linear_backward", name, linear_backward(error.data, weights[name].data))
            if masked[i]:
                passed = noted("relu_backward", name, relu_backward(passed, x.data))
            error = noted("requantise_error", name, requantise(passed, error.exponent + weights[name].exponent))
    return gradients


def tail_steps(tail, weights, logits, inputs, labels, b_bp, record=None):
    """The step of each gradient of `tail_gradients`; takes the same arguments.  Returns {name: (out, in) int32}.

    A layer with a running scale among the weights gets a `running_step`, which changes the scale; any other gets a
    `gradient_step`.
    """
    gradients = tail_gradients(tail, weights, logits, inputs, labels, record)
    steps = steps_of_gradients(gradients, weights, b_bp)
    if record:
        record("gradient_step", None, steps)
    return steps


def steps_of_gradients(gradients, weights, b_bp):
    """Turns {name: gradient} into {name: step} and empties it, so that at most one layer has both in memory."""
    steps = {}
    for name in list(gradients):
        gradient, scale = gradients.pop(name), weights.get(name + SCALE)
        steps[name] = (gradient_step(gradient.data, b_bp) if scale is None else
                       running_step(gradient, b_bp, scale))
    return steps


def gradient_step(gradient, b_bp):
    """Scales a gradient to about b_bp bits: the learning rate of an integer tail (NITI, CHOICE 22).

    gradient: int32 or int64.  b_bp: 1..7, the bits its largest magnitude keeps.  Returns its type, |step| <= 2^b_bp.
    """
    return pseudo_stochastic_shift(gradient, own_shift(max_abs(gradient), b_bp))


def running_step(gradient, b_bp, scale):
    """Scales a gradient to b_bp bits if it is as large as the reference of its layer, to fewer if it is smaller.

    gradient: QTensor of int32.  b_bp: -8..7; at 0 and below most of a step is 0.  scale: int32 (2,), changed in place.
    Returns int32, |step| <= 2^b_bp, or 1 where b_bp is below 0, of gradients below 2^30 (SPEC 9.1 says of others).
    """
    shift = running_shift(max_abs(gradient.data), gradient.exponent, b_bp, scale)
    return pseudo_stochastic_shift(gradient.data, shift)


def own_shift(largest, b_bp):
    """The shift that leaves b_bp bits of the largest magnitude."""
    return max(0, bit_width(largest) - b_bp)


def running_shift(largest, exponent, b_bp, scale):
    """The shift of a gradient by the reference of its layer, after the gradient has updated it (CHOICE 35).

    largest: the gradient's largest magnitude.  exponent: the gradient's.
    scale: int32 (2,), the reference and how many gradients in a row did not reach it; changed in place.

    A gradient is a sum over its batch, and so are the gradients that set the reference. The batch size is in both and
    cancels, so b_bp means the same for every batch size (CHOICE 36).
    """
    size = bit_width(largest) + exponent
    reference, age = map(int, scale)
    if largest and size >= reference:   # a gradient of zeros reaches no reference
        reference, age = size, 0
    elif age + 1 < FALL_AFTER:
        age += 1
    else:
        reference, age = reference - 1, 0
    scale[...] = reference, age
    limit = LARGEST_SHIFT if bit_width(largest) < 32 else 62   # full BP has sums of int64
    return max(0, min(limit, reference - b_bp - exponent))


def first_scales(tail):
    """{name.scale: int32 (reference, age)} of a tail's layers before the first step."""
    return {layer.name + SCALE: np.array([FIRST_REFERENCE, 0], np.int32) for layer in models.weight_layers(tail)}


def update_tail(weights, steps):
    """weight -= step, clipped to +-127, in place.  steps: {name: int32 array} from `tail_steps`."""
    for name, step in steps.items():
        weight = weights[name].data
        weight[...] = np.clip(weight - step, -INT8_MAX, INT8_MAX)
