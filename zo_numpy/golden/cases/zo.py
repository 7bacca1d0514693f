"""Golden cases of zeroth-order weights: their range, the perturbations, restoring and updating."""
import numpy as np

from ...int8 import elastic_zo
from ...int8.arith import INT8_MAX, QTensor, bit_width, pseudo_stochastic_shift
from ...int8.precision import clip_for_zo, draw
from .common import Case, Op, int8, made_up


def _clip_of(inputs, parameters):
    weights = {"w": QTensor(int8(inputs["weight"]), 0)}
    clip_for_zo(weights, [(0, "w")], parameters["r_limit"])
    return {"weight": weights["w"].data.tolist()}


def _bound(parameters):
    return INT8_MAX - parameters["r_limit"]


CLIP_FOR_ZO = Op(
    "ZO weights clipped to +-(127 - r_limit), r_limit the largest r_max of the whole schedule: done once, before "
    "the first step.",
    _clip_of,
    {"NotClipped": "Nothing is done.",
     "UpperOnly": "Only the upper end is clipped.",
     "OneTooTight": "The bound is 127 - r_limit - 1.",
     "OneTooWide": "The bound is 128 - r_limit."},
    [Case(f"r_limit {r_limit}", {"weight": [[127, 126 - r_limit, 127 - r_limit, 128 - r_limit, 0, 1]]},
          {"r_limit": r_limit}) for r_limit in (1, 3, 7, 15, 31, 63)]
    + [Case(f"r_limit {r_limit}, negative", {"weight": [[-127, r_limit - 126, r_limit - 127, r_limit - 128]]},
            {"r_limit": r_limit}) for r_limit in (1, 3, 7, 15, 31, 63)]
    + [Case("all inside", {"weight": [[5, -64], [64, 0]]}, {"r_limit": 63})])


# Perturbing and restoring.

def settings_of(parameters):
    return elastic_zo.Settings(r_max=parameters["r_max"], p_zero=parameters["p_zero"], b_zo=parameters.get("b_zo", 1),
                               b_bp=1, r_limit=parameters["r_limit"])


def _tensors_of(inputs, parameters):
    """({name: QTensor}, [(index in the model, name)]) of the tensors of a case."""
    names = [(tensor, str(tensor)) for tensor in parameters["tensors"]]
    pairs = zip(names, inputs["weights"], strict=True)
    return {name: QTensor(int8(data), 0) for (_, name), data in pairs}, names


def draws(weights, names, parameters):
    return [draw(settings_of(parameters), parameters["seed"], parameters["step"], tensor, 0, weights[name].data.size)
            for tensor, name in names]


def _data_of(weights):
    return [weight.data.tolist() for weight in weights.values()]


def _perturb_of(inputs, parameters):
    weights, names = _tensors_of(inputs, parameters)
    z = draws(weights, names, parameters)
    elastic_zo.perturb(weights, names, parameters["times"], parameters["seed"], parameters["step"],
                       settings_of(parameters))
    return {"z": [part.tolist() for part in z], "weights": _data_of(weights)}


def _thetas(parameters, number, sizes):
    """Made-up weights as they are before a step."""
    return [made_up(number + i, (size,), _bound(parameters)) for i, size in enumerate(sizes)]


def moved(theta, times, parameters):
    """theta + times * z."""
    weights, names = _tensors_of({"weights": theta}, parameters)
    return [(np.array(data) + times * z.astype(int)).tolist()
            for data, z in zip(theta, draws(weights, names, parameters))]


def zo_parameters(tensors, seed=0, step=0, r_max=7, p_zero=64, r_limit=7, **more):
    return dict(tensors=list(tensors), seed=seed, step=step, r_max=r_max, p_zero=p_zero, r_limit=r_limit, **more)


def _perturb_case(comment, number, sizes, times, theta=None, **given):
    parameters = zo_parameters(given.pop("tensors", range(len(sizes))), times=times, **given)
    theta = theta or _thetas(parameters, number, sizes)
    return Case(comment, {"weights": moved(theta, 1, parameters) if times == -2 else theta}, parameters)


PERTURB = Op(
    "theta += times * z in place, z of each tensor by perturbation with query 0; `tensors` are the indices of the "
    "tensors in the whole model. times is 1 before the first pass and -2 between the passes, when the weights are "
    "theta + z. Nothing is clipped.",
    _perturb_of,
    {"SignInverted": "z is subtracted where it is to be added.",
     "OneStepBack": "Between the passes z is subtracted once, not twice.",
     "FreshZ": "A new z is drawn for the second pass.",
     "ZNotReplayed": "The step is not in the counter: every step draws the z of step 0.",
     "TensorIndex": "Tensors are counted from 0 among those that are perturbed, whatever their place in the model.",
     "OneDrawForAll": "A tensor goes on in the draw where the one before it ended.",
     "Clipped": "The perturbed weights are clipped to +-(127 - r_limit)."},
    [_perturb_case(f"times {times}, r_max {r_max}", 0, [19], times, r_max=r_max, r_limit=r_max)
     for r_max in (1, 3, 7, 15, 31, 63) for times in (1, -2)]
    + [_perturb_case("three tensors", 3, [5, 6, 9], 1),
       _perturb_case("three tensors, -2", 3, [5, 6, 9], -2),
       _perturb_case("tensors 1 and 3", 6, [8, 7], 1, tensors=(1, 3)),
       _perturb_case("step 5, seed 9", 8, [17], -2, step=5, seed=9),
       _perturb_case("weights at the ends of their range", 9, [12], 1, [[120, -120] * 6]),
       _perturb_case("one element", 10, [1], 1, p_zero=0, seed=2),
       _perturb_case("a schedule whose largest r_max is 63", 11, [12], 1, r_max=3, r_limit=63)])


def _restore_of(inputs, parameters):
    weights, names = _tensors_of(inputs, parameters)
    restored, _ = _tensors_of(inputs, parameters)
    arguments = parameters["seed"], parameters["step"], settings_of(parameters)
    shift = max(0, bit_width(parameters["r_max"]) - parameters["b_zo"])
    z = draws(weights, names, parameters)
    elastic_zo.restore_and_update(restored, names, 0, *arguments)
    elastic_zo.restore_and_update(weights, names, parameters["g"], *arguments)
    return {"z": [part.tolist() for part in z], "shift": shift, "restored": _data_of(restored),
            "steps": [pseudo_stochastic_shift(part, shift).tolist() for part in z], "weights": _data_of(weights)}


def _restore_case(comment, number, sizes, g, theta=None, **given):
    parameters = zo_parameters(given.pop("tensors", range(len(sizes))), g=g, **given)
    return Case(comment, {"weights": moved(theta or _thetas(parameters, number, sizes), -1, parameters)}, parameters)


RESTORE_AND_UPDATE = Op(
    "After both passes the weights are theta - z. theta += z restores them; then, unless g is 0, theta -= g * step "
    "with step = pseudo_stochastic_shift(z, shift), shift = max(0, bit_width(r_max) - b_zo), clipped to +-(127 - "
    "r_limit).",
    _restore_of,
    {"WeightsNotRestored": "The weights are updated from theta - z.",
     "UpdateSignInverted": "g * step is added.",
     "UpdatedAtZero": "g = 0 updates as g = 1 does.",
     "FullZ": "z itself is subtracted, not scaled to b_zo bits.",
     "ShiftOneMore": "The shift is bit_width(r_max + 1) - b_zo.",
     "FloorNotTruncate": "A negative z is shifted and masked in two's complement.",
     "OddShift": "low is not doubled for an odd shift.",
     "RoundedToNearest": "round_shift is used.",
     "NoClip": "The new weights are not clipped.",
     "ClipByRMax": "They are clipped to +-(127 - r_max) of the present epoch.",
     "FreshZ": "A new z is drawn for restoring.",
     "ZNotReplayed": "The step is not in the counter: every step draws the z of step 0.",
     "TensorIndex": "Tensors are counted from 0 among those that are updated, whatever their place in the model."},
    [_restore_case(f"r_max {r_max}, b_zo {b_zo}, g {g}", 20, [21], g, r_max=r_max, r_limit=r_max, b_zo=b_zo)
     for r_max, b_zo in ((1, 1), (3, 1), (7, 1), (7, 2), (7, 3), (15, 1), (15, 4), (31, 1), (31, 2), (63, 1), (63, 2),
                         (63, 3), (63, 6)) for g in (-1, 1)]
    + [_restore_case(f"g 0 restores only, r_max {r_max}", 21, [9], 0, r_max=r_max, r_limit=r_max, b_zo=1)
       for r_max in (1, 7, 63)]
    + [_restore_case(f"weights at the ends of their range, g {g}", 22, [16], g, [[120] * 8 + [-120] * 8], b_zo=1)
       for g in (-1, 1)]
    + [_restore_case(f"r_max below r_limit, g {g}", 22, [16], g, [[64] * 8 + [-64] * 8], r_max=3, r_limit=63,
                    b_zo=2)
       for g in (-1, 1)]
    + [_restore_case("more bits than z has: no shift", 23, [10], 1, b_zo=6),
       _restore_case("three tensors", 24, [7, 5, 6], 1, b_zo=1),
       _restore_case("tensors 1 and 4", 26, [8, 6], -1, tensors=(1, 4), b_zo=1),
       _restore_case("step 1000, seed 3", 28, [14], 1, step=1000, seed=3, b_zo=1),
       _restore_case("nothing is dropped from z", 29, [13], -1, p_zero=0, b_zo=2)])


OPS = {"clip_for_zo": CLIP_FOR_ZO, "perturb": PERTURB, "restore_and_update": RESTORE_AND_UPDATE}
