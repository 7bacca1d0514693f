"""Ports with one bug each in a whole run: BUGS[op][flag], see bugs.py."""
import twin_runs
import twins_training
from bugs_common import using
from bugs_random import addressed
from twins import mapped
from zo_numpy.int8.variants import Variant
from zo_numpy.models import weight_layers

right_step, right_batches, right_order = twins_training.train_step, twin_runs.batches_of, twin_runs.order_of


def frozen_steps_z(model, bp_tail, weights, images, labels, seed, step, settings, variant):
    """A control that ends like a ZO step with g = 1."""
    new, *others = right_step(model, bp_tail, weights, images, labels, seed, step, settings, variant)
    if variant.frozen:
        names = [layer.name for layer in weight_layers(model.layers)]
        for tensor, name in enumerate(twins_training.zo_names(names, bp_tail)):
            data, exponent = new[name]
            z = twins_training.perturbation(seed, step, tensor, 0, len(twins_training.flat(data)), settings.r_max,
                                            settings.p_zero)
            z = twins_training.shaped(z, weight_layers(model.layers)[tensor].weight_shape)
            new[name] = twins_training.zo_update(data, z, 1, settings.r_max, settings.b_zo, settings.r_limit), exponent
    return new, *others


def frozen_perturbed(model, bp_tail, weights, images, labels, seed, step, settings, variant):
    """A control that makes both passes of a step and leaves its ZO layers as they were."""
    if not variant.frozen:
        return right_step(model, bp_tail, weights, images, labels, seed, step, settings, variant)
    new, plus, minus, g = right_step(model, bp_tail, weights, images, labels, seed, step, settings, Variant())
    names = [layer.name for layer in weight_layers(model.layers)]
    return {**new, **{name: weights[name] for name in twins_training.zo_names(names, bp_tail)}}, plus, minus, g


SHORT_RUN = {
    "QueryAlwaysZero": addressed(lambda seed, stream, step, tensor, query, i: (seed, stream, step, tensor, 0, i)),
    "FrozenStepsZ": using(train_step=frozen_steps_z),
    "PassesAveraged": using(add_steps=lambda first, second: {
        name: mapped(lambda a, b: int((a + b) / 2), first[name], second[name]) for name in first}),
    "BothDropsFirstPass": using(add_steps=lambda first, second: second),
    "BothDropsSecondPass": using(add_steps=lambda first, second: first),
    "TailStepsSummed": using(tail_queries=lambda count: list(range(count))),
    "TailStepsOfQueryZero": using(tail_queries=lambda count: [0]),
    "FrozenPerturbed": using(train_step=frozen_perturbed),
    "StepRestarts": using(drawn_for=lambda step, in_epoch: step % in_epoch),
    "OrderOfFirstEpoch": using(order_of=lambda seed, epoch, count: right_order(seed, 0, count)),
    "FileOrder": using(order_of=lambda seed, epoch, count: list(range(count))),
    "LastBatchDropped": using(batches_of=lambda order, size: [
        batch for batch in right_batches(order, size) if len(batch) in (size, len(order))]),
    "ScheduleStays": using(entry=lambda epoch, epochs, count: 0),
    "ScheduleByEpoch": using(entry=lambda epoch, epochs, count: min(epoch, count - 1)),
    "LimitOfEpoch": using(limit_of=lambda r_max, now: now)}

BUGS = {"short_run": SHORT_RUN}
