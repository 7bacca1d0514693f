"""zo_numpy: ElasticZO in pure NumPy, in float32 and in integers only.

After Sugiura and Matsutani, "ElasticZO: A Memory-Efficient On-Device Learning with Combined Zeroth- and First-Order
Optimization" (arXiv 2501.04287). The last K fully-connected layers of a network, its tail, are trained by
backpropagation (BP); all layers before them by zeroth-order (ZO) steps from two forward passes.

The legend, used in every file
    N        samples in a batch              C H W    channels, height, width of an image
    P        points in a cloud               (N, P, C) channels of points
    K, tail  trailing layers trained by BP   theta    the weights below the tail, trained by ZO
    z        the random perturbation         L+ L-    the loss at theta + z and at theta - z
    g        the ZO gradient along z, in INT8 its sign
    block    a layer with weights and the weightless ones behind it: what INT8 requantises once
    record   called with what each op returns, where vectors for other implementations are made; else None
    CHOICE n what the papers leave open and was decided here: row n in section 13 of int8/SPEC.md

What governs a step of INT8, each an integer that a schedule may change from epoch to epoch
    r_max    largest magnitude of z          b_zo     bits that are left of z in ZO's update
    p_zero   n / 256 of z's elements are 0   b_bp     bits that are left of a gradient in the tail's update
    R        largest r_max of the schedule: ZO's weights stay in +-(127 - R), so that theta +- z is an int8

Where to begin
    rng.py                  where every random number comes from
    models.py               the networks, as lists of layers
    shapes.py               patches, max-pool, ReLU, flatten
    int8/arith.py           integer tensors, rounding, requantisation, the matrix product
    int8/layers.py          the forwards
    int8/points.py          the forwards on point clouds
    int8/loss.py            the integer cross-entropy
    int8/tail.py            the only backwards there are
    int8/elastic_zo.py      one training step, top to bottom
    run/steps.py            which samples a step visits, and its line in the log
    run/trainer.py          epochs, evaluation, checkpoints
    fp32/                   the same in float32, file by file and name by name
    int8/SPEC.md            the same numbers as a contract for other implementations
"""
__version__ = "0.1.0"
