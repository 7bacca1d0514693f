"""The FP32 step with K = 0 beside the same algorithm in PyTorch on the CPU, with as many threads.

PyTorch is no requirement of this project. In an environment of its own (numpy and torch 2.13.0), from the root of a
clone:

    python -m experiments.torch_step

writes experiments/results/torch_step.json: medians of interleaved steps, and the median of their ratios. Both draw z
three times a step and keep none of it; PyTorch draws by its own generator, which is seeded anew for each draw.
"""
import argparse
import os

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")   # of NumPy's BLAS: zo_numpy has threads of its own

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from experiments.common import save_result  # noqa: E402
from zo_numpy import bench, memory  # noqa: E402
from zo_numpy.clone import say  # noqa: E402
from zo_numpy.config import make_config  # noqa: E402
from zo_numpy.fp32 import elastic_zo  # noqa: E402


def torch_step(batch):
    """A function that makes the next step of a run of LeNet-5 in PyTorch, from the weights zo_numpy starts from."""
    config = make_config({"precision": "fp32", "bp_tail": 0, "batch_size": batch})
    settings = elastic_zo.settings_at(config, 0)
    theta = [torch.from_numpy(array) for array in elastic_zo.initialise(config).values()]
    images, labels = (torch.from_numpy(array) for array in memory.random_batch(config))
    labels, generator, step = labels.long(), torch.Generator(), 0

    def loss():
        x = images.float() / 255
        w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = theta
        x = functional.relu(functional.max_pool2d(functional.conv2d(x, w1, b1, padding=2), 2))
        x = functional.relu(functional.max_pool2d(functional.conv2d(x, w2, b2, padding=2), 2)).flatten(1)
        x = functional.relu(functional.linear(x, w3, b3))
        x = functional.relu(functional.linear(x, w4, b4))
        return functional.cross_entropy(functional.linear(x, w5, b5), labels).item()

    def add(times):
        generator.manual_seed(step)
        for parameter in theta:
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=times)

    @torch.no_grad()
    def make():
        nonlocal step
        add(settings.eps)
        plus = loss()
        add(-2 * settings.eps)
        minus = loss()
        g = max(-settings.clip, min(settings.clip, (plus - minus) / (2 * settings.eps)))
        add(settings.eps - settings.eta * g)
        step += 1
    return make


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    rows = []
    for workers in (1, 2):
        torch.set_num_threads(workers)
        with bench.threads(workers):
            for batch in (32, 256):
                taken = bench.interleaved({"zo_numpy": bench.step_of("fp32", 0, batch), "torch": torch_step(batch)},
                                          rounds)
                ratio = bench.median([ours / theirs for ours, theirs in zip(taken["zo_numpy"], taken["torch"])])
                rows.append({"threads": workers, "batch": batch, "zo_numpy_over_torch": round(ratio, 3),
                             **{f"{name}_ms": round(1000 * bench.median(times), 3) for name, times in taken.items()}})
                say(f"{workers} threads, batch {batch}: zo_numpy / torch = {ratio:.2f} ({rows[-1]})")
    say(f"wrote {save_result('torch_step', {'torch': torch.__version__, 'rounds': rounds, 'rows': rows})}")


if __name__ == "__main__":
    main()
