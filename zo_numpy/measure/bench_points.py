"""How long a training step of PointNet takes and how much it holds, measured as bench.py does LeNet-5's."""
from ..run.config import make_config
from ..run.steps import PRECISIONS
from . import bench, memory

RUN, BATCH = {"model": "pointnet", "data": "modelnet40", "points": 1024}, 32


def memory_ratios():
    """Peaks of a step of vanilla ZO, and what tails of K = 1 and 2 add to them, measured on one thread."""
    ratios = {}
    with bench.threads(1):
        for precision in PRECISIONS:
            peaks = [peak.measure(make_config({"precision": precision, "bp_tail": k, "batch_size": BATCH, **RUN}), 3)
                     for k in (0, 1, 2)]
            ratios[f"pointnet_peak_{precision}_mb"] = peaks[0] / 1e6
            ratios |= {f"pointnet_overhead_k{k}_{precision}": peaks[k] / peaks[0] - 1 for k in (1, 2)}
    return ratios


def run(rounds):
    """Steps of every K, and ratios by name, as one mapping; a cloud counts as an image."""
    taken = bench.interleaved({(precision, bp_tail): bench.step_of(precision, bp_tail, BATCH, **RUN)
                               for precision in PRECISIONS for bp_tail in bench.TAILS}, rounds)
    ratios = {f"pointnet_int8_over_fp32_k{bp_tail}_b{BATCH}":
              bench.median([i / f for i, f in zip(taken["int8", bp_tail], taken["fp32", bp_tail])])
              for bp_tail in bench.TAILS} | memory_ratios()
    return {"pointnet": {**RUN, "batch": BATCH, "rounds": rounds},
            "pointnet_steps": [bench.measured_step(*key, BATCH, times) for key, times in taken.items()],
            "ratios": {name: round(value, 4) for name, value in ratios.items()}}


def report(result):
    """What `run` gave, as lines."""
    yield f"PointNet, clouds of {result['pointnet']['points']} points, {result['pointnet']['rounds']} rounds"
    yield from map(bench.step_line, result["pointnet_steps"])
    yield ""
    yield from (f"{name:32}{value:12.4g}" for name, value in result["ratios"].items() if name.startswith("pointnet"))
