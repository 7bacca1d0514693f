"""What a block on points holds while it runs, fp32/points.py and int8/points.py, in the terms of memory.py."""
from .. import models
from ..fp32 import points as fp32_points
from ..int8 import points as int8_points
from ..int8.arith import CHUNK
from ..tiles import threads

ROUNDING = 8   # bytes an element of an array that is being rounded: magnitudes and signs


def add_moments(plan, place, where, inputs, **held):
    """Adds the moments of block `place` to a Plan.

    where: the moments' name.  inputs: bytes of activations that are held before it.  held: what else is, by kind.
    """
    layer, (points, _) = plan.blocks[place][0], plan.shapes[place]
    pooled = len(plan.shapes[place + 1]) == 1             # ends in the maximum over the points
    columns = points if pooled else plan.batch * points   # of the product: a cloud at a time, or all of the batch
    # The first block's input is brought into memory order (C, N, P) as a whole: a copy.
    copied = 0 if place or pooled else plan.numbers(0) * plan.item
    (add_int8 if plan.int8 else add_fp32)(plan, layer, place, where, columns, pooled, inputs + copied, held)


def add_fp32(plan, layer, place, where, columns, pooled, inputs, held):
    """What forward_pooled or forward_inner of fp32/points.py holds."""
    made, weights = plan.numbers(place + 1), 4 * models.weight_count(layer)      # scaled by batch norm
    if pooled:
        height = min(layer.out_channels, max(1, fp32_points.TILE_BYTES // (4 * columns)))
        scratch = min(threads(), plan.batch) * 4 * height * columns
        plan.add(where, activations=inputs + 4 * made, scratch=weights + scratch, **held)
        plan.add(f"{where}, normalise", activations=inputs + 3 * 4 * made, scratch=weights, **held)
    else:
        plan.add(where, activations=inputs + 4 * made, scratch=weights, **held)


def add_int8(plan, layer, place, where, columns, pooled, inputs, held):
    """What forward_pooled or forward_inner of int8/points.py holds."""
    channels, terms, made = layer.out_channels, layer.in_channels, plan.numbers(place + 1)
    weights = 4 * models.weight_count(layer)                                     # widened
    if pooled:
        height = min(channels, max(1, int8_points.TILE_BYTES // (4 * columns)))
        tiles = min(threads(), plan.batch)
        plan.add(where, activations=inputs, accumulators=4 * made,
                 scratch=weights + tiles * 4 * columns * (terms + height), **held)
        plan.add(f"{where}, requantise", activations=inputs + made, accumulators=3 * 4 * made,
                 scratch=ROUNDING * min(CHUNK, made), **held)
    else:
        length = min(columns, max(1, int8_points.TILE_BYTES // (4 * channels)))
        tiles = min(threads(), -(-columns // length))
        plan.add(where, activations=inputs + made, accumulators=4 * made,
                 scratch=weights + tiles * 4 * length * (terms + channels), **held)
