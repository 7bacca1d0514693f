"""What bench.py measured, in sentences: each ratio says which of the two it is that takes more."""
from ..run.config import BP

PARTS = {"draws": "drawing z", "perturb": "adding z", "patches": "patches", "matmul": "products",
         "requantise": "requantising", "pooling": "pooling", "loss": "loss", "tail": "tail", "rest": "the rest"}
SHOWN = 4   # parts of a step, the largest


def report(result):
    """Ten lines of what `bench.images` and `bench.clouds` gave together, fewer if only one of them is there."""
    if "steps" in result:
        yield (f"NumPy {result['numpy']}, {result['threads']} thread{'s' * (result['threads'] > 1)}, medians of "
               f"{result['rounds']} rounds; trust ratios, not milliseconds (all figures: --json)")
        yield from _lenet_lines(result, {(s["precision"], s["bp_tail"], s["batch"]): s for s in result["steps"]})
    if "pointnet" in result:
        yield _pointnet_line(result["pointnet"], result["ratios"])


def _lenet_lines(result, steps):
    """The lines of LeNet-5.  steps: {(precision, K, batch): row}."""
    ratios, batches = result["ratios"], sorted({batch for *_, batch in steps})
    for batch in batches:
        yield (f"LeNet-5: INT8 takes {ratios[f'int8_over_fp32_k1_b{batch}']:.2f} times as long as FP32 at K = 1, batch "
               f"{batch} ({steps['int8', 1, batch]['milliseconds']:.1f} and "
               f"{steps['fp32', 1, batch]['milliseconds']:.1f} ms a step)")
    yield (f"LeNet-5: an epoch of MNIST takes {ratios['epoch_k2_b64_s_int8']:.1f} s in INT8 and "
           f"{ratios['epoch_k2_b64_s_fp32']:.1f} s in FP32 at K = 2, batch 64")
    yield _tails(steps, batches[0])
    yield _parts(steps["int8", 1, batches[0]])
    yield (f"memory: FP32 holds {ratios['peak_fp32_over_int8']:.2f} times as much as INT8 at its peak, K = 0, batch 32 "
           f"({ratios['peak_fp32_mb']:.2f} and {ratios['peak_int8_mb']:.2f} MB)")
    full = ratios.get("full_bp_over_k0_int8")
    yield ("memory: over vanilla ZO, INT8 with "
           + ", ".join(f"K = {k} holds {_change(ratios[f'overhead_k{k}_int8'])}" for k in (1, 2, 3))
           + (f", and full BP {full:.2f} times as much" if full else ""))
    yield (f"products: ours of integers are {ratios['matmul_1t']:.1f} times as fast as NumPy's int32 @ int32 on one "
           f"thread, {ratios['matmul_2t']:.1f} on two; INT8 steps reach {100 * ratios['einsum_share_b256']:.0f} % of "
           "their rate")


def _tails(steps, batch):
    """What tails cost, in time."""
    def over_zo(tail):
        return f"{steps['int8', tail, batch]['milliseconds'] / steps['int8', 0, batch]['milliseconds']:.2f} times"

    full = f", full BP {over_zo(BP)} as long" if ("int8", BP, batch) in steps else ""
    return (f"LeNet-5: INT8 with K = 1 takes {over_zo(1)} as long as vanilla ZO (K = 0), K = 2 {over_zo(2)}, K = 3 "
            f"{over_zo(3)}{full}, batch {batch}")


def _parts(step):
    """Where the time of a step goes."""
    whole = sum(step["parts"].values())
    largest = sorted(step["parts"], key=step["parts"].get, reverse=True)[:SHOWN]
    return (f"LeNet-5: an INT8 step at K = 1, batch {step['batch']}, on one thread is "
            + ", ".join(f"{100 * step['parts'][part] / whole:.0f} % {PARTS[part]}" for part in largest))


def _change(share):
    """0.0123 -> '1.23 % more'."""
    return f"{100 * abs(share):.2f} % {'less' if share < 0 else 'more'}"


def _pointnet_line(given, ratios):
    """The line of PointNet."""
    batch = given["batch"]
    slower = ratios[f"pointnet_int8_over_fp32_k1_b{batch}"]
    return (f"PointNet: INT8 takes {slower:.2f} times as long as FP32 at K = 1, "
            f"batch {batch} of {given['points']:,} points; FP32 holds {ratios['pointnet_peak_fp32_over_int8']:.2f} "
            "times as much at its peak")
