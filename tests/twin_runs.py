"""The twins of whole runs of tiny networks, and of what whole networks start from: by loops."""
import functools
import hashlib
import math
import types

import twins
import twins_training
from zo_numpy import models
from zo_numpy.golden.cases.common import layers_from
from zo_numpy.int8.variants import Variant


def order_of(seed, epoch, count):
    return twins.shuffled(seed, epoch, count)


def batches_of(order, size):
    """The batches of an epoch, the last one smaller where the division leaves a rest."""
    return [order[start:start + size] for start in range(0, len(order), size)]


def entry(epoch, epochs, count):
    """Which entry of a list of `count` an epoch uses."""
    return epoch * count // epochs


def limit_of(r_max, now):
    """R, of the list r_max and its entry of the present epoch."""
    return max(r_max)


def drawn_for(step, in_epoch):
    """The step that z is drawn for.  in_epoch: steps of an epoch."""
    return step


def short_run_op(i, p):
    model = types.SimpleNamespace(layers=layers_from(p["layers"]))
    names = [layer.name for layer in models.weight_layers(model.layers)]
    weights = {name: (w["data"], w["exponent"]) for name, w in zip(names, i["weights"], strict=True)}
    variant = Variant(bool(p["frozen"]), p["tail_passes"], p["queries"])
    batches, log = [], []
    for epoch in range(p["epochs"]):
        now = {name: p[name][entry(epoch, p["epochs"], len(p[name]))] for name in ("r_max", "p_zero", "b_zo", "b_bp")}
        settings = types.SimpleNamespace(**now, loss=p["loss"], r_limit=limit_of(p["r_max"], now["r_max"]))
        of_epoch = batches_of(order_of(p["seed"], epoch, len(i["labels"])), p["batch_size"])
        for batch in of_epoch:
            weights, plus, minus, g = twins_training.train_step(
                model, p["bp_tail"], weights, [i["images"][k] for k in batch], [i["labels"][k] for k in batch],
                p["seed"], drawn_for(len(log), len(of_epoch)), settings, variant)
            batches.append(list(batch))
            log.append([plus, minus, *(g if isinstance(g, tuple) else [g])])
    return {"batches": batches, "log": log, "weights": [weights[name][0] for name in names]}


@functools.lru_cache(maxsize=64)   # a large tensor takes a second
def drawn(seed, tensor, count, bound):
    return tuple(twins.uniform_int8(seed, tensor, count, bound))


def initial_digest_op(i, p):
    parts, exponents = [], []
    for tensor, (shape, headroom) in enumerate(zip(p["shapes"], p["headroom"], strict=True)):
        data = drawn(p["seed"], tensor, math.prod(shape), 127 >> headroom)
        bound = 127 - p["r_limit"] if tensor < p["zo_tensors"] else 127
        parts.append(bytes(max(-bound, min(bound, v)) % 256 for v in data))
        exponents.append(twins_training.init_exponent(math.prod(shape[1:]), headroom))
    return {"exponents": exponents, "tensors": [hashlib.sha256(part).hexdigest() for part in parts],
            "digest": hashlib.sha256(b"".join(parts)).hexdigest()}
