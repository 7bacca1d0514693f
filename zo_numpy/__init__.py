"""zo_numpy: ElasticZO in pure NumPy, in float32 and in integers only.

The method is that of Sugiura and Matsutani, "ElasticZO: A Memory-Efficient On-Device Learning with Combined
Zeroth- and First-Order Optimization" (arXiv 2501.04287). The last K fully-connected layers of a network, its tail, are
trained by backpropagation (BP); all layers before them by zeroth-order (ZO) steps from two forward passes.

Where to begin
    int8/elastic_zo.py      one training step, top to bottom: z is added, the tail is updated, g is formed, then theta
    int8/draws.py           how random words become z, and the first weights
    rng.py                  where every random word comes from
    models.py               the networks, as lists of layers
    shapes.py               patches, max-pool, ReLU, flatten
    int8/arith.py           integer tensors, rounding, the matrix product; `requantise` turns int32 into int8
    int8/layers.py          the forward passes, plainly and on a whole batch
    int8/points.py          the forward passes that only point clouds have
    int8/loss.py            the integer cross-entropy
    int8/tail.py            the only backward passes; they begin with `softmax_error`
    int8/tiled.py           the same passes and updates in bounded memory: what training runs
    int8/variants.py        the frozen control, several queries, gradients of both passes
    int8/precision.py       what the trainer calls to start, score and save a run
    int8/SPEC.md            the same numbers as a contract for other implementations
    fp32/                   the same in float32, file by file and name by name, but for arith.py

The code has five floors, and imports only go down
    app/        the command line, and what it finds beside this package: data sets, experiments, vectors
    golden/     vectors that other implementations are compared with; measure/: time and memory of a step
    run/        a run: its configuration, its steps and epochs, its folder
    int8/ fp32/ the arithmetic
    *.py        what all of them use

The legend, used in every file
    N        samples in a batch              C H W    channels, height, width of an image
    P        points in a cloud               (N, P, C) channels of points
    K, tail  trailing layers trained by BP   theta    the weights below the tail, trained by ZO
    z        the random perturbation         L+ L-    the loss at theta + z and at theta - z
    g        the ZO gradient along z, in INT8 its sign
    block    a layer with weights and the weightless ones after it; INT8 requantises once a block
    width(m) the binary digits of m: width(127) = 7, width(128) = 8 (`arith.bit_width`)
    record   a function that is called with what each op returns, to make golden vectors; else None
    CHOICE n a decision that the papers leave open: see row n in section 13 of int8/SPEC.md

The settings of an INT8 step, integers that a schedule may change from epoch to epoch
    r_max    largest magnitude of z          b_zo     bits that are left of z in ZO's update
    p_zero   n / 256 of z's elements are 0   b_bp     bits that are left of a gradient in the tail's update
    R        largest r_max of the schedule: ZO's weights stay in +-(127 - R), so that theta +- z is an int8

Other widths than int8
    The width is not a parameter. Whoever wants another changes arith.py (INT8_MAX, MAX_TERMS, the 7 bits of
    `shift_for`, the type of the sums), draws.py, elastic_zo.py, variants.py, `keep` and `tail_steps` in tiled.py,
    `quantised_clouds` in ../clouds.py and the ranges in loss.py.

How to add a layer
    1. models.py: a NamedTuple with its numbers, and the shape of its output (`output_shape`)
    2. int8/layers.py and fp32/layers.py: its forward pass, and a line in `apply_layer`. A layer that only moves or
       compares numbers is written once, in shapes.py. Then tiled.py runs it, traces record it, and ZO trains the
       weights below it; but blocks on points have functions of their own there, to be extended. One that adds
       accumulators must show that its sum fits int32: `check_terms` covers the product alone. Where a block has a ReLU,
       nothing after that may be negative: tiled.py keeps it as uint8.
    3. A layer of the tail needs a backward pass too, in tail.py and tiled.py; `--bp-tail all` one in
       experiments/full_bp.
    4. run/network.py: its name and keys in a --model file. int8/SPEC.md, section 7: its formula and function.
    5. tests/twins.py: the same in plain loops. `python -m experiments.readme` counts the lines anew.

How to add a golden op
    1. golden/cases/: an Op with its description, flags and cases, in the file of its family
    2. tests/twin_ops.py and tests/bugs_*.py: the op in plain loops, and once for each flag with that bug
    3. `make golden-update` writes the new file; it refuses to change one that is there.
"""
__version__ = "0.1.0"
