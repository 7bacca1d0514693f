"""Time of a training step in the port, INT8 against FP32: one compiler, the same flags, one thread.

    python -m experiments.port_speed

writes experiments/results/port_speed.json: LeNet-5 and PointNet (256 points) at batch 1, 32 and 256, K = 0..3, with
flags for any machine of the kind (baseline) and for this one (native; on x86 also with vectors of 256 bits). Steps of
the two precisions are made in turn, so that both meet the same machine; the processor's time is counted, not the
clock's. A row's ratio is FP32's median over INT8's. NumPy's own step stands beside them, on one thread: the port's FP32
is plain C, and NumPy's is a BLAS, so that the port's INT8 is told beside that too. Run it on a machine that does
nothing else.
"""
import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"   # read when numpy is imported

import numpy as np   # noqa: E402

from experiments import port   # noqa: E402
from experiments.common import QUICK, save_result   # noqa: E402
from zo_numpy import models   # noqa: E402
from zo_numpy.app.progress import say   # noqa: E402
from zo_numpy.errors import UserError   # noqa: E402
from zo_numpy.measure.timing import threads   # noqa: E402
from zo_numpy.run.config import make_config   # noqa: E402
from zo_numpy.run.steps import PRECISIONS, own_method, settings_of   # noqa: E402

FLAGS = {"baseline": port.BASELINE, "native": port.NATIVE}
if platform.machine() in ("x86_64", "AMD64"):   # which vectors native code has differs with the compiler
    FLAGS["native, 256 bits"] = (*port.NATIVE, "-mprefer-vector-width=256")
POINTS = 256
CASE = ("model", "points", "bp_tail", "batch")
CASES = [("lenet5", 0, k, batch) for batch in (1, 32, 256) for k in range(4)] + [
    ("pointnet", POINTS, k, batch) for batch in (1, 32, 256) for k in range(4)]
SECONDS = 0.2 if QUICK else 2   # for a row
REPEATS = 3   # the program is started so often; of its medians the middle one counts


def port_step(program, case):
    """{precision: milliseconds} of a step, and how many steps were made of each."""
    def run(rounds):
        words = [str(program), "time", *map(str, case), str(rounds)]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return {name: float(median) for name, median, *_ in map(str.split, text.splitlines())}

    first = run(1)
    rounds = int(min(2000, max(3, SECONDS * 1000 / REPEATS / sum(first.values()))))
    runs = [run(rounds) for _ in range(REPEATS)]
    return {name: round(statistics.median(one[name] for one in runs), 4) for name in first}, rounds * REPEATS


def numpy_step(case):
    """{precision: milliseconds} of zo_numpy's own step on the same network, on one thread, by the clock."""
    model, points, k, batch = case
    labels = np.arange(batch, dtype=np.uint8) % 10
    steps = {}
    for name, precision in PRECISIONS.items():
        config = make_config(dict(model=model, precision=name, bp_tail=k, batch_size=batch,
                                  **({"data": "modelnet10", "points": points} if points else {})))
        weights, method = precision.initialise(config), own_method(config)
        samples = precision.decode_clouds(random_clouds(batch, points)) if points else random_images(batch)
        settings, times = settings_of(config, method, 0), []
        with threads(1):
            for step in range(3 if QUICK else 12):
                if step > 3 and sum(times) > 5000:   # of large batches fewer steps will do
                    break
                start = time.perf_counter()
                method.train_step(models.MODELS[model], k, weights, samples, labels, 0, step, settings)
                times.append(1000 * (time.perf_counter() - start))
        steps[name] = round(statistics.median(times[1:]), 4)
    return steps


def random_images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 1, 28, 28), np.uint8)


def random_clouds(count, points):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (count, points, 3)).astype(np.float32)


def blas():
    """The BLAS of this NumPy, by name and version."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if not port.found_compiler():
        print(f"error: there is no {port.CC}; install a C compiler, or name one: CC=/path/to/cc", file=sys.stderr)
        return 2
    rows = []
    for name, flags in FLAGS.items():
        try:
            program = port.build(port.BUILD / name, flags)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        for case in CASES:
            model, points, k, batch = case
            milliseconds, rounds = port_step(program, case)
            row = {"model": model, "points": points, "bp_tail": k, "batch": batch, "flags": name,
                   "int8, ms": milliseconds["int8"], "fp32, ms": milliseconds["fp32"], "steps": rounds,
                   "fp32 / int8": round(milliseconds["fp32"] / milliseconds["int8"], 3)}
            rows.append(row)
            say(f"{name:16} {model:8} K = {k}, batch {batch:3}: INT8 {row['int8, ms']:9.3f} ms, FP32 "
                f"{row['fp32, ms']:9.3f} ms, FP32 / INT8 {row['fp32 / int8']:.2f}")
    native = {tuple(row[name] for name in CASE): row["int8, ms"] for row in rows if row["flags"] == "native"}
    beside = []
    for case in CASES:
        steps = numpy_step(case)
        beside.append({**dict(zip(CASE, case)), "int8, ms": steps["int8"], "fp32, ms": steps["fp32"],
                       "fp32 / int8": round(steps["fp32"] / steps["int8"], 3),
                       "fp32 / the port's int8, native": round(steps["fp32"] / native[case], 3)})
    compiler = subprocess.run([port.CC, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    flags = {name: " ".join(given) for name, given in FLAGS.items()}
    result = {"compiler": compiler, "flags": flags, "threads": 1, "blas": blas(), "port": rows, "numpy": beside}
    say(f"wrote {save_result('port_speed', result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
