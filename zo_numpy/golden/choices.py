"""Which CHOICEs of SPEC.md 13 an implementation has to share to pass each vector.

Who takes another decision somewhere sees here which vectors are lost to it, and which still hold.
"""
from ..run.config import BP

OPS = {
    "philox4x64_10": [12], "words": [12], "half_words": [12], "uniform_int8": [3, 12, 13], "perturbation": [5, 12],
    "stable_argsort": [14], "shuffled": [12, 14], "batch_indices": [12, 14, 27], "schedule": [28], "from_pixels": [11],
    "bit_width": [], "round_shift": [10], "pseudo_stochastic_shift": [4], "requantise": [1, 10], "init_exponent": [3],
    "init_weights": [3, 12, 13], "initial_digest": [3, 9, 12, 13, 16], "clip_for_zo": [9], "digest": [], "matmul": [],
    "linear": [16], "conv2d": [16], "max_pool2d": [], "max_pool2d_rest": [37], "relu": [],
    "flatten": [15], "decode_points": [33], "point_linear": [16], "max_over_points": [],
    "point_block": [1, 2, 10, 16, 32, 34],
    "point_block_ends": [1, 2, 10, 16, 32, 34], "forward_block": [1, 2, 10, 15, 16], "classify": [30],
    "base2_logits": [6, 18], "exp2_terms": [17], "log2_sum": [17], "cross_entropy": [6, 17, 18],
    "coarse_cross_entropy": [18, 19], "loss_sign": [6, 17, 18, 23], "softmax_error": [1, 7, 10, 17, 18],
    "linear_gradient": [], "linear_backward": [], "relu_backward": [20], "gradient_step": [4, 22],
    "running_step": [4, 35, 36], "update_tail": [1, 4, 8, 22], "tail_step": [1, 2, 4, 7, 10, 16, 17, 18, 20, 21, 22],
    "tail_step_128": [1, 2, 4, 7, 10, 16, 17, 18, 20, 21, 22],
    "tail_step_bare": [1, 2, 4, 7, 10, 16, 17, 18, 20, 21, 22], "perturb": [5, 12],
    "restore_and_update": [4, 5, 9, 12, 23, 25],
    "train_step": [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 31],
    "short_run": [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31],
}
INT8 = {1, 2, 3, 9, 10, 13, 16}
ZO = {4, 5, 23, 25}
WHOLE_RUN = {14, 27, 28, 29, 30}


def choices_of_all(configs):
    """{"ops", "traces" and "runs": {name: [CHOICE]}}.  configs: {"traces" or "runs": {name: Config}}."""
    return {"ops": OPS, **{part: {name: _choices_of(config, part == "runs") for name, config in of_part.items()}
                           for part, of_part in configs.items()}}


def _choices_of(config, whole_run):
    """The CHOICEs that a trace, or a whole run, of a configuration needs, ascending; of FP32 those that it shares."""
    int8, k, full = config.precision == "int8", config.bp_tail, config.bp_tail == BP
    needed = {12} | (INT8 if int8 else set()) - ({9} if full else set()) | (WHOLE_RUN if whole_run else set())
    if int8:
        needed |= {32, 33, 34} if config.points else {11}
        needed |= {6, 18, 19} if config.loss == "coarse" else {6, 17, 18}
    needed |= set() if config.points else {15, 37} if config.data.endswith(".npz") else {15}   # sides that leave a rest
    if not full:
        needed |= {26} if config.zo_frozen else {31, *(ZO if int8 else ())}
    if k and not full and not config.zo_frozen:
        needed |= {8} if config.tail_passes == "both" else {24}
    if k and int8:
        needed |= {4, 7, 17, 18} | ({35, 36} if config.tail_scale == "running" else {22})
    if full or k > 1:
        needed |= {21} | ({20} if int8 else set())
    return sorted(needed)
