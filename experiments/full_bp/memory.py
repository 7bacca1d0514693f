"""What Full BP holds at each moment of a training step, in the terms of zo_numpy/measure/memory.py.

Every block's input is kept until its backward has been passed, and of max-pools the place of each maximum: that is
what ZO spares.
"""
from zo_numpy import models, tiles
from zo_numpy.int8.arith import CHUNK
from zo_numpy.measure.memory import ROUNDING, widened

from . import memory_points
from .shapes import places_shape, pooling, transposed


def places(plan, place):
    """Bytes of the places of a block's maxima."""
    block = plan.blocks[place]
    if isinstance(block[0], models.PointLinear):
        return memory_points.places(plan, place)
    return plan.batch * models.size(places_shape(block, plan.shapes[place])) if pooling(block) else 0


def conv_scratch(plan, place):
    """What all threads together hold while they go back through tiles of a convolution's block, and the gradients
    of all tiles, which are added last.
    """
    block, shape, passes_on = plan.blocks[place], plan.shapes[place], place > 0
    conv, below = block[0], transposed(block[0])
    conv_shape = models.output_shape([conv], shape)
    length, number, workers = plan.tile(min(tiles.tiling(block, shape, plan.batch, plan.sums),
                                            tiles.tiling([below], conv_shape, plan.batch, plan.sums)))
    outputs = models.size(conv_shape)
    patches = tiles.scratch_bytes(conv, shape) - 4 * outputs
    gradient = patches + 4 * outputs                                       # the errors, transposed and widened
    backward = (tiles.scratch_bytes(below, conv_shape) + (0 if plan.int8 else 4 * models.size(shape))
                if passes_on else 0)
    one = length * (plan.item * outputs + max(gradient, backward)) + plan.kernels(conv)
    return workers * one + 4 * number * models.weight_count(conv)


def add_moments(plan):
    """Adds the moments of a step of Full BP to a Plan."""
    last = len(plan.blocks) - 1
    kept = 0
    for place, block in enumerate(plan.blocks):
        made = plan.numbers(place + 1)
        inputs = plan.activations(*range(place + 1)) + kept + places(plan, place)
        where = f"forward, {block[0].name}"
        if isinstance(block[0], models.PointLinear):
            memory_points.add_forward(plan, place, where, inputs)
        elif plan.int8:
            plan.add(where, activations=inputs, accumulators=4 * made, scratch=plan.tile_scratch(place))
            plan.add(f"{where}, requantise", activations=inputs + made, accumulators=4 * made,
                     scratch=ROUNDING * min(CHUNK, made))
        else:
            plan.add(where, activations=inputs + 4 * made, scratch=plan.tile_scratch(place))
        kept += places(plan, place)
    inputs = plan.activations(*range(last + 2)) + kept
    gradients = 0
    for place in range(last, -1, -1):
        layer, error, below = plan.blocks[place][0], plan.numbers(place + 1), plan.numbers(place)
        gradients += plan.gradients(place)
        if isinstance(layer, models.PointLinear):
            memory_points.add_backward(plan, place, inputs, gradients)
            continue
        if isinstance(layer, models.Conv2d):
            plan.add(f"backward, {layer.name}", activations=inputs, gradients=gradients,
                     errors=plan.item * error + (4 * below if place else 0), scratch=conv_scratch(plan, place))
        else:
            widening = 4 * error + widened(plan.batch, layer.in_features) if plan.int8 else 0
            plan.add(f"gradient, {layer.name}", activations=inputs, gradients=gradients, errors=plan.item * error,
                     scratch=widening)
        if place:
            plan.add(f"errors, {layer.name}", activations=inputs, gradients=gradients,
                     errors=plan.item * error + 9 * below)
    largest = max(plan.gradients(place) for place in range(last + 1))
    plan.add("steps", activations=inputs, gradients=gradients + largest,
             scratch=(16 * min(CHUNK, largest // 4)) if plan.int8 else 0)
