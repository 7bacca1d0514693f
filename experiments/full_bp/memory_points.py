"""What Full BP holds while it passes a block of points, in the terms of zo_numpy/measure/memory_points.py.

The input of every block is kept, for every cloud and point, and where each maximum was. What stands beside them on the
way back is as large again, several times over: sizes below are counted from fp32_points.py and int8_points.py.
"""
from zo_numpy import models
from zo_numpy.measure import memory_points

PLACE = 8   # bytes of the place of a maximum


def places(plan, place):
    """Bytes of the places of a block's maxima over the points."""
    pooled = any(isinstance(layer, models.MaxOverPoints) for layer in plan.blocks[place])
    return PLACE * plan.numbers(place + 1) if pooled else 0


def add_forward(plan, place, where, kept):
    """The moments of a block's forward pass.  kept: bytes of inputs and places that are held, its own among them."""
    # Clouds are the network's input as they stand: place 0 is the batch itself, which always counts.
    memory_points.add_moments(plan, place, where, kept - plan.activations(0))


def add_backward(plan, place, kept, gradients):
    """The moments of a block's backward pass, from the error of its output to that of its input, int8 or float32.

    kept: bytes of all inputs and places.  gradients: bytes of those made so far, the block's own among them.
    """
    layer = plan.blocks[place][0]
    out, below = plan.numbers(place + 1), plan.numbers(place)
    inputs, error = kept - plan.activations(0), plan.item * out

    def add(what, errors, scratch=0):
        plan.add(f"{what}, {layer.name}", activations=inputs, gradients=gradients, errors=error + errors,
                 scratch=scratch)

    weights = 4 * models.weight_count(layer)
    points = plan.shapes[place][0]
    # Of a cloud's maxima: what each sends back, the same in the order of their points, and the sums at these.
    rows = 2 * weights + weights * min(points, layer.out_channels) // layer.out_channels
    if places(plan, place) and plan.int8:
        add("backward", 4 * below, rows)
    elif places(plan, place):
        picked = plan.batch * weights                                 # the point of each maximum, a row a channel
        add("points of the maxima", 0, 2 * picked)
        add("backward", 4 * below, picked + rows)
    elif plan.int8:
        add("gradient", 0, 5 * out + 5 * below if place else 5 * out + 4 * below)
        if place:
            add("backward", 4 * below, 4 * out)
    else:
        add("batch norm", 16 * out)                             # its input, normalised, and two terms of the error
        add("backward", 4 * out + (4 * below if place else 0))
    if place:
        plan.add(f"errors, {layer.name}", activations=inputs, gradients=gradients, errors=9 * below)
