"""Golden cases of short runs of tiny networks, data and all: what single steps do not show, without a data set.

Epochs and their order, schedules, the smaller last batch; several queries, both passes, the frozen control.
"""
import numpy as np

from ... import models, rng
from ...int8 import variants
from ...int8.elastic_zo import Settings
from ...run.network import described
from .common import Case, Op, integers, layers_from, made_up, quantised, uint8
from .step import CONVOLUTIONAL, FULLY_CONNECTED

SCHEDULES = ("r_max", "p_zero", "b_zo", "b_bp")


def _short_run_of(inputs, parameters):
    model = models.Model("", (), 0, layers_from(parameters["layers"]))
    layers = models.weight_layers(model.layers)
    weights = {layer.name: quantised(weight) for layer, weight in zip(layers, inputs["weights"], strict=True)}
    images, epochs, size = uint8(inputs["images"]), parameters["epochs"], parameters["batch_size"]
    labels = integers(inputs["labels"], np.uint8, 0, layers[-1].weight_shape[0] - 1)
    variant = variants.Variant(bool(parameters["frozen"]), parameters["tail_passes"], parameters["queries"])
    batches, log = [], []
    for epoch in range(epochs):
        now = {name: parameters[name][epoch * len(parameters[name]) // epochs] for name in SCHEDULES}
        settings = Settings(**now, r_limit=max(parameters["r_max"]), loss=parameters["loss"])
        order = rng.shuffled(parameters["seed"], epoch, len(labels))
        for batch in (order[start:start + size] for start in range(0, len(labels), size)):
            loss_plus, loss_minus, g = variants.train_step(
                model, parameters["bp_tail"], weights, images[batch], labels[batch], parameters["seed"], len(log),
                settings, variant=variant)
            batches.append(batch.tolist())
            log.append([loss_plus, loss_minus, *(g if isinstance(g, tuple) else (g,))])
    return {"batches": batches, "log": log, "weights": [weight.data.tolist() for weight in weights.values()]}


def _case(comment, network, bp_tail, number, samples=5, exponent=-6, **given):
    shape, layers = network
    defaults = dict(seed=0, epochs=2, batch_size=2, queries=1, tail_passes="second", frozen=0, loss="integer",
                    r_max=[7], p_zero=[64], b_zo=[1], b_bp=[4])
    parameters = {"layers": described(layers), "bp_tail": bp_tail, **defaults, **given}
    linears = models.weight_layers(layers)
    r_limit = max(parameters["r_max"])
    bounds = [127 - r_limit] * (len(linears) - bp_tail) + [127] * bp_tail
    weights = [{"data": made_up(number + i, layer.weight_shape, min(90, bound)), "exponent": exponent - i}
               for i, (layer, bound) in enumerate(zip(linears, bounds, strict=True))]
    images = (np.array(made_up(number + 9, (samples, *shape))) + 128).tolist()
    return Case(comment, {"images": images, "labels": [i * i % 3 for i in range(samples)], "weights": weights},
                parameters)


FULL = dict(epochs=4, samples=3, r_max=[3, 7, 1], p_zero=[32, 200], b_zo=[2, 1, 3, 1, 1], b_bp=[5, 4, 2, 1])
SHORT_RUN = Op(
    "A whole run: images are unsigned pixels, weights those that it starts from. Epoch e of the epochs uses entry e * "
    "length // epochs of each of the lists r_max, p_zero, b_zo and b_bp; R is the largest of r_max. batches: the "
    "samples of each step; log: of each step L+, L- and the sign of each query; weights after the last step. Of "
    "several queries the losses are means, rounded down. frozen = 1 is the control, whose losses are both that of its "
    "one pass.",
    _short_run_of,
    {"QueryAlwaysZero": "Every query of a step draws the z of query 0.",
     "FrozenStepsZ": "The frozen control takes a step of its ZO layers along z.",
     "PassesAveraged": "With both passes the mean of their two steps is taken.",
     "BothDropsFirstPass": "With both passes the step is that of the second alone.",
     "BothDropsSecondPass": "With both passes the step is that of the first alone.",
     "TailStepsSummed": "The tail's steps are summed over the queries.",
     "TailStepsOfQueryZero": "The tail's steps are those of the first query.",
     "FrozenPerturbed": "The frozen control makes two perturbed passes and updates the tail alone.",
     "StepRestarts": "The step that z is drawn for counts from 0 in each epoch.",
     "OrderOfFirstEpoch": "Every epoch visits the samples in the order of the first.",
     "FileOrder": "Samples are visited in the order of the file.",
     "LastBatchDropped": "The smaller batch that ends an epoch is dropped.",
     "ScheduleStays": "Every epoch uses the first entry of each list.",
     "ScheduleByEpoch": "Epoch e uses entry e, the last one where there are no more.",
     "LimitOfEpoch": "R is the r_max of the present epoch."},
    [_case("K = 0, three queries", FULLY_CONNECTED, 0, 500, queries=3),
     _case("K = 1, three queries", CONVOLUTIONAL, 1, 520, queries=3, seed=4),
     _case("K = 2, two queries", CONVOLUTIONAL, 2, 540, queries=2, b_bp=[6]),
     _case("K = 3, all tail, two queries", FULLY_CONNECTED, 3, 560, queries=2),
     *(_case(f"K = {k}, both passes", FULLY_CONNECTED, k, 570 + 20 * k, tail_passes="both", b_bp=[6])
       for k in (1, 2, 3)),
     _case("K = 2, four queries and both passes", FULLY_CONNECTED, 2, 660, queries=4, tail_passes="both",
           seed=2**64 - 1),
     *(_case(f"K = {k}, frozen", CONVOLUTIONAL, k, 680 + 20 * k, frozen=1, seed=k) for k in (1, 2)),
     _case("frozen: queries and passes have no effect", FULLY_CONNECTED, 2, 740, frozen=1, queries=3,
           tail_passes="both", b_bp=[6]),
     *(_case(f"K = {k}, full schedules", FULLY_CONNECTED, k, 760 + 20 * k, **FULL) for k in (0, 2)),
     _case("full schedules, both passes, two queries", CONVOLUTIONAL, 1, 820, tail_passes="both", queries=2, **FULL),
     _case("lists longer than the run: R is of an entry that no epoch uses", FULLY_CONNECTED, 1, 840,
           r_max=[1, 63, 3], p_zero=[0, 9, 100, 255], b_zo=[1, 2, 6]),
     _case("weights at the ends of their range, sums of four steps", FULLY_CONNECTED, 1, 860, queries=4, r_max=[63],
           p_zero=[0], b_zo=[6]),
     _case("the coarse loss, two queries", FULLY_CONNECTED, 1, 880, loss="coarse", queries=2, r_max=[31], exponent=-5),
     _case("a batch of one", CONVOLUTIONAL, 1, 900, samples=3, batch_size=1, queries=2),
     _case("a batch larger than all samples", CONVOLUTIONAL, 1, 920, samples=4, batch_size=9)])

OPS = {"short_run": SHORT_RUN}
