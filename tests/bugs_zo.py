"""Ports with one bug each in moving the ZO layers, in a whole step, or in a digest: BUGS[op][flag], see bugs.py."""
import hashlib

import numpy as np

import twins
from bugs_arith import LOW_NOT_DOUBLED, in_twos_complement
from bugs_common import answering, misread, using, wrapped
from bugs_random import STEP_IGNORED, TENSOR_FROM_ONE, addressed
from bugs_tail import right_update, updated_first
from twin_ops import draws
from twins import bit_width, clip, mapped
from twins_training import zo_update as right_zo_update

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

def zo_updating(change):
    """The bug of a port that updates a ZO layer by zo_update of change(weight, z, g)."""
    return using(zo_update=lambda weight, z, g, *settings: right_zo_update(*change(weight, z, g), *settings))


def tail_updating(change):
    """The bug of a port that updates a layer of the tail by change(weight, step)."""
    return using(update=lambda weight, step, bound=None: (
        right_update(weight, step, bound) if bound else change(weight, step)))


def tensors_reversed(twin, i, p):
    last = len(i["weights"]) - 1
    return addressed(lambda seed, stream, step, tensor, *rest: (seed, stream, step, last - tensor, *rest))(twin, i, p)


def first_pass_gradient(twin, i, p):
    if p["tail_passes"] == "both":
        return twin(i, p)
    return using(add_steps=lambda first, second: first)(twin, i, {**p, "tail_passes": "both"})


def tail_within_zo_range(twin, i, p):
    return tail_updating(lambda w, s: right_update(w, s, 127 - p["r_limit"]))(twin, i, p)


TRAIN_STEP = {
    "ZNotReplayed": STEP_IGNORED,
    "TensorIndex": TENSOR_FROM_ONE,
    "TensorsReversed": tensors_reversed,
    "ZoSignInverted": zo_updating(lambda w, z, g: (w, z, -g)),
    "UpdatedAtZero": zo_updating(lambda w, z, g: (w, z, g or 1)),
    "WeightsNotRestored": zo_updating(lambda w, z, g: (mapped(lambda a, b: a - b, w, z), z, g)),
    "TailPerturbed": using(zo_names=lambda names, bp_tail: names),
    "OnePassOnly": using(add_steps=lambda first, second: second),
    "FirstPassGradient": first_pass_gradient,
    "TailSignInverted": tail_updating(lambda w, s: right_update(w, mapped(lambda v: -v, s))),
    "UpdateBeforeError": updated_first,
    "TailNeverUpdated": tail_updating(lambda w, s: w),
    "ZoNeverUpdated": zo_updating(lambda w, z, g: (w, z, 0)),
    "FrozenIgnored": misread(frozen=lambda p: 0),
    "TailClippedToZoRange": tail_within_zo_range,
    "SignedPixels": misread(lambda i: {"images": mapped(lambda v: wrapped(v, 8), i["images"])})}


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


INITIAL_DIGEST = {
    "NotClipped": misread(zo_tensors=lambda p: 0),
    "TailClipped": misread(zo_tensors=lambda p: len(p["shapes"]))}


BUGS = {"clip_for_zo": CLIP_FOR_ZO, "perturb": PERTURB, "restore_and_update": RESTORE_AND_UPDATE,
        "train_step": TRAIN_STEP, "digest": DIGEST,
        "initial_digest": INITIAL_DIGEST}
