"""Ports with one bug each in what moves the ZO layers, in a whole step, or in a digest: BUGS[op][flag].

Those of a whole step are put into the library, the others into the twins, see bugs_common.py.
"""
import hashlib

import numpy as np
import pytest

import twins
from bugs_arith import LOW_NOT_DOUBLED, in_twos_complement
from bugs_common import answering, misread, using
from bugs_random import STEP_IGNORED
from twin_ops import draws
from twins import bit_width, clip, mapped
from zo_numpy import models
from zo_numpy.golden import ops
from zo_numpy.int8 import elastic_zo, precision, tail
from zo_numpy.int8.arith import QTensor, requantise

CLIP_FOR_ZO = {
    "NotClipped": answering(weight=lambda i, p, right: i["weight"]),
    "UpperOnly": answering(weight=lambda i, p, right: mapped(lambda v: min(v, 127 - p["r_limit"]),
                                                             i["weight"])),
    "OneTooTight": misread(r_limit=lambda p: p["r_limit"] + 1),
    "OneTooWide": misread(r_limit=lambda p: p["r_limit"] - 1)}


# Perturbing and restoring.

def drawing(change):
    """The bug of a port that draws tensor number k of the case in another way: change(p, tensor, k, size)."""
    right = twins.perturbation

    def bug(twin, i, p):
        def draws(i, p):
            return [right(*change(p, tensor, k, len(weight)), p["r_max"], p["p_zero"])
                    for k, (tensor, weight) in enumerate(zip(p["tensors"], i["weights"]))]
        return using(draws=draws)(twin, i, p)
    return bug


def one_draw_for_all(twin, i, p):
    sizes = [len(weight) for weight in i["weights"]]
    whole = twins.perturbation(p["seed"], p["step"], p["tensors"][0], 0, sum(sizes), p["r_max"], p["p_zero"])
    parts = [whole[sum(sizes[:k]):sum(sizes[:k + 1])] for k in range(len(sizes))]
    return using(draws=lambda i, p: parts)(twin, i, p)


RIGHT_Z = drawing(lambda p, tensor, k, size: (p["seed"], p["step"], tensor, 0, size))
FRESH_Z = drawing(lambda p, tensor, k, size: (p["seed"], p["step"], tensor, 1, size))
LOCAL_INDEX = drawing(lambda p, tensor, k, size: (p["seed"], p["step"], k, 0, size))

PERTURB = {
    "SignInverted": answering(weights=lambda i, p, right: mapped(
        lambda w, d: w - p["times"] * d, i["weights"], right["z"])),
    "OneStepBack": misread(times=lambda p: max(p["times"], -1)),
    "FreshZ": lambda twin, i, p: (FRESH_Z if p["times"] == -2 else RIGHT_Z)(twin, i, p),
    "ZNotReplayed": STEP_IGNORED,
    "TensorIndex": LOCAL_INDEX,
    "OneDrawForAll": one_draw_for_all,
    "Clipped": answering(weights=lambda i, p, right: mapped(lambda v: clip(v, 127 - p["r_limit"]),
                                                            right["weights"]))}

def not_restored(twin, i, p):
    """The update of a port that forgets to add z first."""
    minus_z = mapped(lambda w, d: w - d, i["weights"], draws(i, p))
    return {**twin(i, p), **{name: twin({"weights": minus_z}, p)[name] for name in ("restored", "weights")}}


def full_z(twin, i, p):
    wrong = twin(i, {**p, "b_zo": 6})            # r_max has at most 6 bits: no shift
    return {**wrong, "shift": twin(i, p)["shift"]}


def clipped_to(bound_of):
    def bug(twin, i, p):
        def update(weight, step, bound):
            return mapped(lambda w, s: clip(w - s, bound_of(p)), weight, step)
        return using(update=update)(twin, i, p)
    return bug


def width_of_next(twin, i, p):
    """bit_width(r_max + 1) is one more than bit_width(r_max), as r_max is 2^k - 1."""
    return using(bit_width=lambda magnitude: bit_width(magnitude + 1))(twin, i, p)


RESTORE_AND_UPDATE = {
    "WeightsNotRestored": not_restored,
    "UpdateSignInverted": misread(g=lambda p: -p["g"]),
    "UpdatedAtZero": misread(g=lambda p: p["g"] or 1),
    "FullZ": full_z,
    "ShiftOneMore": width_of_next,
    "FloorNotTruncate": using(pseudo_stochastic_shift=in_twos_complement),
    "OddShift": using(pseudo_stochastic_shift=LOW_NOT_DOUBLED),
    "RoundedToNearest": using(pseudo_stochastic_shift=twins.round_shift),
    "NoClip": clipped_to(lambda p: 10**6),
    "ClipByRMax": clipped_to(lambda p: 127 - p["r_max"]),
    "FreshZ": FRESH_Z,
    "ZNotReplayed": STEP_IGNORED,
    "TensorIndex": LOCAL_INDEX}


# A whole step.

def step_with(**functions):
    """The bug of a port that has these functions, called with the right one first, for elastic_zo's."""
    def bug(twin, i, p):
        with pytest.MonkeyPatch.context() as patch:
            for name, function in functions.items():
                right = getattr(elastic_zo, name)
                patch.setattr(elastic_zo, name, lambda *a, f=function, right=right: f(right, *a))
            return ops.OPS["train_step"](i, p)
    return bug


def drawn(change):
    """change(tensor, step, number of tensors in the model) gives the tensor and step whose z is drawn."""
    def change_theta(right, weights, names, seed, step, *rest):
        places = [change(tensor, step, len(weights)) for tensor, _ in names]
        right(weights, [(tensor, name) for (tensor, _), (_, name) in zip(places, names)], seed,
              places[0][1] if places else step, *rest)
    return step_with(change_theta=change_theta)


def restored(change_g):
    def restore_and_update(right, weights, names, g, *rest):
        right(weights, names, change_g(g), *rest)
    return step_with(restore_and_update=restore_and_update)


def from_minus_z(right, weights, names, g, seed, step, settings):
    for tensor, name in names:
        weights[name].data.reshape(-1)[:] -= precision.draw(name, tensor, weights, seed, step, settings)
    right(weights, names, g, seed, step, settings)


def first_pass_gradient(twin, i, p):
    if p["tail_passes"] == "both" or p["frozen"]:
        return twin(i, p)
    return step_with(add_steps=lambda right, first, second: first)(twin, i, {**p, "tail_passes": "both"})


def updated_first(twin, i, p):
    """Each layer of the tail is updated, on a copy, before its error passes through it."""
    def tail_gradients(right, layers, weights, logits, inputs, labels, record=None):
        gradients, error = {}, tail.softmax_error(logits, labels)
        for layer, x in reversed(list(zip(models.weight_layers(layers), inputs))):
            gradients[layer.name] = tail.linear_gradient(error.data, x.data)
            new = {layer.name: QTensor(weights[layer.name].data.copy(), weights[layer.name].exponent)}
            tail.update_tail(new, {layer.name: tail.gradient_step(gradients[layer.name], p["b_bp"])})
            behind = tail.relu_backward(tail.linear_backward(error.data, new[layer.name].data), x.data)
            error = requantise(behind, error.exponent)
        return gradients
    return step_with(tail_gradients=tail_gradients)(twin, i, p)


def tail_within_zo_range(twin, i, p):
    def update_tail(right, weights, steps):
        right(weights, steps)
        for name in steps:
            np.clip(weights[name].data, p["r_limit"] - 127, 127 - p["r_limit"], out=weights[name].data)
    return step_with(update_tail=update_tail)(twin, i, p)


TRAIN_STEP = {
    "ZNotReplayed": drawn(lambda tensor, step, count: (tensor, 0)),
    "TensorIndex": drawn(lambda tensor, step, count: (tensor + 1, step)),
    "TensorsReversed": drawn(lambda tensor, step, count: (count - 1 - tensor, step)),
    "ZoSignInverted": restored(lambda g: -g),
    "UpdatedAtZero": restored(lambda g: g or 1),
    "WeightsNotRestored": step_with(restore_and_update=from_minus_z),
    "TailPerturbed": step_with(zo_tensors=lambda right, model, bp_tail: right(model, 0)),
    "OnePassOnly": step_with(add_steps=lambda right, first, second: second),
    "FirstPassGradient": first_pass_gradient,
    "TailSignInverted": step_with(update_tail=lambda right, weights, steps: right(
        weights, {name: -step for name, step in steps.items()})),
    "UpdateBeforeError": updated_first,
    "TailNeverUpdated": step_with(update_tail=lambda right, weights, steps: None),
    "ZoNeverUpdated": restored(lambda g: 0),
    "FrozenIgnored": lambda twin, i, p: twin(i, {**p, "frozen": 0}),
    "TailClippedToZoRange": tail_within_zo_range,
    "SignedPixels": step_with(from_pixels=lambda right, images: QTensor(images.view(np.int8) >> 1, -7))}


# Digests.

def hashed(content_of):
    """The bug of a port that hashes content_of(list of int8 arrays)."""
    def bug(twin, i, p):
        content = content_of([np.array(weight["data"], np.int8) for weight in i["weights"]])
        return {"bytes": content.hex(), "digest": hashlib.sha256(content).hexdigest()}
    return bug


def joined(arrays):
    return b"".join(array.tobytes() for array in arrays)


DIGEST = {
    "ParameterOrder": hashed(lambda arrays: joined(arrays[::-1])),
    "AlphabeticalOrder": misread(lambda i: {"weights": sorted(i["weights"],
                                                              key=lambda weight: weight["name"])}),
    "ColumnMajor": hashed(lambda arrays: b"".join(array.tobytes(order="F") for array in arrays)),
    "FourBytes": hashed(lambda arrays: joined([array.astype("<i4") for array in arrays])),
    "OffsetBinary": hashed(lambda arrays: joined([(array.astype(int) + 128).astype(np.uint8)
                                                  for array in arrays])),
    "DigestOfDigests": hashed(lambda arrays: b"".join(hashlib.sha256(array.tobytes()).digest()
                                                      for array in arrays))}


BUGS = {"clip_for_zo": CLIP_FOR_ZO, "perturb": PERTURB, "restore_and_update": RESTORE_AND_UPDATE,
        "train_step": TRAIN_STEP, "digest": DIGEST}
