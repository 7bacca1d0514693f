"""Ports with one bug each in the tail: BUGS[op][flag], see bugs.py."""
import twins
import twins_training
from bugs_arith import LOW_NOT_DOUBLED, ceil_log2, float_width, floored, in_twos_complement, of_each_sample
from bugs_common import INT16_ACCUMULATOR, answering, cut_to_16_bits, misread, replaced, unsigned, using, wrapped
from bugs_layers import reread, rewritten
from bugs_loss import LABELS_FROM_ONE
from twin_ops import as_dict, requantised
from twins import bit_width, clip, mapped, max_abs, requantise
from twins_training import (gradient_step, linear_backward, linear_gradient, relu_backward, softmax_error,
                            update)

ONE = 2**15


# The error of the logits.

def error_of(accumulator_of):
    """The bug of a port that forms another accumulator: accumulator_of(term, total, is_label, batch size)."""
    def bug(twin, i, p):
        right = twin(i, p)
        accumulator = [[accumulator_of(term, total, k == label, len(i["labels"]))
                        for k, term in enumerate(row)]
                       for row, total, label in zip(right["terms"], right["totals"], i["labels"],
                                                    strict=True)]
        return {**right, "accumulator": accumulator, **requantised(accumulator, -15)}
    return bug


def other_softmax(probability):
    def bug(twin, i, p):
        right = error_of(lambda term, total, hot, n: probability(term, total) - ONE * hot)(twin, i, p)
        softmax = [[probability(term, total) for term in row]
                   for row, total in zip(right["terms"], right["totals"], strict=True)]
        return {**right, "softmax": softmax}
    return bug


def requantised_with_floor(accumulator, exponent):
    with replaced(round_shift=floored):   # in the requantisation alone: u is rounded too
        return requantise(accumulator, exponent)


SOFTMAX_ERROR = {
    "OneHotSign": error_of(lambda term, total, hot, n: ONE * hot - (term << 15) // total),
    "OneHotMissing": error_of(lambda term, total, hot, n: (term << 15) // total),
    "OneHotBelowOne": error_of(lambda term, total, hot, n: (term << 15) // total - (ONE - 1) * hot),
    "LabelFromOne": LABELS_FROM_ONE,
    "DivisionRounded": other_softmax(lambda term, total: ((term << 15) + total // 2) // total),
    "DividedFirst": other_softmax(lambda term, total: term // total << 15),
    "MeanOverBatch": error_of(lambda term, total, hot, n: int(((term << 15) // total - ONE * hot) / n)),
    "MaximumOfEachSample": using(requantise=of_each_sample),
    "FloorNotTruncate": using(requantise=requantised_with_floor)}


# Products.

LINEAR_GRADIENT = {
    "GradientTransposed": rewritten("accumulator", 1, 0),
    "MeanOverBatch": answering(accumulator=lambda i, p, right: mapped(
        lambda v: int(v / len(i["x"])), right["accumulator"])),
    "LastSampleOnly": misread(lambda i: {"x": i["x"][-1:], "error": i["error"][-1:]}),
    "SignInverted": answering(accumulator=lambda i, p, right: mapped(lambda v: -v, right["accumulator"])),
    "Int16Accumulator": INT16_ACCUMULATOR,
    "UnsignedError": unsigned("error")}

LINEAR_BACKWARD = {
    "WeightTransposed": reread("weight", 1, 0),
    "OutputTransposed": rewritten("accumulator", 1, 0),
    "FirstOutputOnly": misread(lambda i: {"error": [row[:1] for row in i["error"]],
                                          "weight": i["weight"][:1]}),
    "Int16Accumulator": INT16_ACCUMULATOR,
    "UnsignedError": unsigned("error")}


def masked(keep):
    """A ReLU's backward that gives keep(error, x) of each element."""
    return using(relu_backward=lambda error, x: mapped(keep, error, x))


RELU_BACKWARD = {
    "MaskGreaterEqual": masked(lambda error, x: error if x >= 0 else 0),
    "MaskInverted": masked(lambda error, x: 0 if x > 0 else error),
    "MaskOfError": masked(lambda error, x: max(0, error)),
    "ScaledByActivation": masked(lambda error, x: error * x),
    "NarrowedFirst": cut_to_16_bits("error")}


# The step of a gradient, and the update.

def step_by(shift_of):
    """The bug of a port with the shift shift_of(width of the maximum, b_bp), to the left if negative."""
    def bug(twin, i, p):
        shift = shift_of(bit_width(max_abs(i["gradient"])), p["b_bp"]) if max_abs(i["gradient"]) else 0
        step = mapped(lambda v: v << -shift if shift < 0 else twins.pseudo_stochastic_shift(v, shift),
                      i["gradient"])
        return {**twin(i, p), "shift": shift, "step": step}
    return bug


GRADIENT_STEP = {
    "FloorNotTruncate": using(pseudo_stochastic_shift=in_twos_complement),
    "OddShift": using(pseudo_stochastic_shift=LOW_NOT_DOUBLED),
    "RoundedToNearest": using(pseudo_stochastic_shift=twins.round_shift),
    "WidthAtPowerOfTwo": using(bit_width=ceil_log2),
    "FloatLog2": using(bit_width=float_width),
    "ShiftIgnoresBits": step_by(lambda width, b_bp: max(0, width - 7)),
    "NegativeShift": step_by(lambda width, b_bp: width - b_bp),
    "WrappedInt8": answering(step=lambda i, p, right: mapped(lambda v: wrapped(v, 8), right["step"])),
    "ClippedToBits": answering(step=lambda i, p, right: mapped(lambda v: clip(v, 2**p["b_bp"] - 1),
                                                               right["step"]))}


def summed_steps(change=lambda v: v, change_sum=lambda v: v):
    """The bug of a port that stores steps, or their sum, in another form."""
    def bug(twin, i, p):
        steps = mapped(change, [gradient_step(gradient, p["b_bp"]) for gradient in i["gradients"]])
        total = mapped(lambda *parts: change_sum(sum(parts)), *steps)
        return {"steps": steps, "weight": update(i["weight"], total)}
    return bug


def summed_gradients(twin, i, p):
    if len(i["gradients"]) == 1:
        return twin(i, p)
    step = gradient_step(mapped(lambda a, b: a + b, *i["gradients"]), p["b_bp"])
    return {**twin(i, p), "weight": update(i["weight"], step)}


def second_pass_only(twin, i, p):
    return {**twin(i, p), "weight": update(i["weight"], gradient_step(i["gradients"][-1], p["b_bp"]))}


right_update = twins_training.update


def updating(change):
    """The bug of a port that makes a new weight by change(weight, step)."""
    return using(update=lambda weight, step, bound=127: mapped(change, weight, step))


UPHILL = updating(lambda w, s: clip(w + s, 127))

UPDATE_TAIL = {
    "UpdateSignInverted": UPHILL,
    "NoClip": updating(lambda w, s: wrapped(w - s, 8)),
    "Minus128": updating(lambda w, s: max(-128, min(127, w - s))),
    "StepInInt8": summed_steps(change=lambda v: wrapped(v, 8)),
    "SumInInt8": summed_steps(change_sum=lambda v: wrapped(v, 8)),
    "SummedBeforeShift": summed_gradients,
    "SecondPassOnly": second_pass_only}


# The whole tail.

def backward(b_bp=None, pass_back=None):
    """A tail_gradients in which a layer is updated before its error passes (b_bp), or the error is passed
    back by pass_back(error pair, weight pair, x)."""
    def tail_gradients(names, weights, logits, inputs, labels, exponents=None, bare=()):
        weights, gradients = dict(weights), {}
        error = softmax_error(logits, labels)
        for name in reversed(names):
            x = inputs[name][0]
            gradients[name] = linear_gradient(error[0], x)
            data, exponent = weights[name]
            if b_bp:
                data = right_update(data, gradient_step(gradients[name], b_bp))
            if name != names[0]:
                error = pass_back(error, (data, exponent), x)
        return gradients
    return tail_gradients


def right_pass(error, weight, x):
    return twins_training.requantise(relu_backward(linear_backward(error[0], weight[0]), x),
                                     error[1] + weight[1])


def requantised_before_mask(error, weight, x):
    data, exponent = twins_training.requantise(linear_backward(error[0], weight[0]), error[1] + weight[1])
    return relu_backward(data, x), exponent


def cut_to_8_bits(error, weight, x):
    masked_error = relu_backward(linear_backward(error[0], weight[0]), x)
    return mapped(lambda v: wrapped(v, 8), masked_error), error[1] + weight[1]


def exponent_forgotten(error, weight, x):
    return twins_training.requantise(relu_backward(linear_backward(error[0], weight[0]), x), error[1])


def passing(pass_back):
    """The bug of a port that passes errors back in another way; the errors it shows are those."""
    def bug(twin, i, p):
        errors = []

        def noted(error, weight, x):
            errors.append(as_dict(pass_back(error, weight, x)))
            return errors[-1]["data"], errors[-1]["exponent"]
        wrong = using(tail_gradients=backward(pass_back=noted))(twin, i, p)
        return {**wrong, "errors": wrong["errors"][:1] + errors}
    return bug


def updated_first(twin, i, p):
    return using(tail_gradients=backward(p["b_bp"], right_pass))(twin, i, p)


def one_hot_first(logits, labels):
    data, exponent = softmax_error(logits, labels)
    return twins_training.requantise(mapped(lambda v: -v, data), exponent)


TAIL_STEP = {
    "UpdateBeforeError": updated_first,
    "UpdateSignInverted": UPHILL,
    "OneHotSign": using(softmax_error=one_hot_first),
    "ReluMaskMissing": masked(lambda error, x: error),
    "RequantisedBeforeMask": passing(requantised_before_mask),
    "ErrorNotRequantised": passing(cut_to_8_bits),
    "ErrorExponentForgotten": passing(exponent_forgotten)}


right_step = twins_training.gradient_step
right_gradients = twins_training.tail_gradients


def stepping(change):
    """The bug of a port that stores the elements of a step as change(v)."""
    return using(gradient_step=lambda gradient, b_bp: mapped(change, right_step(gradient, b_bp)))


TAIL_STEP_128 = {
    "StepInInt8": stepping(lambda v: wrapped(v, 8)),
    "ClippedTo127": stepping(lambda v: clip(v, 127)),
    "UpdateSignInverted": UPHILL}


TAIL_STEP_BARE = {
    "ReluMaskAlways": using(tail_gradients=lambda *given, bare=(): right_gradients(*given)),
    "ReluMaskOutside": masked(lambda error, x: 0 if x > 0 else error)}


BUGS = {"softmax_error": SOFTMAX_ERROR, "linear_gradient": LINEAR_GRADIENT,
        "linear_backward": LINEAR_BACKWARD,
        "relu_backward": RELU_BACKWARD, "gradient_step": GRADIENT_STEP, "update_tail": UPDATE_TAIL,
        "tail_step": TAIL_STEP, "tail_step_128": TAIL_STEP_128, "tail_step_bare": TAIL_STEP_BARE}
