"""The FP32 step with K = 0 of both networks beside the same algorithm in PyTorch on the CPU, with as many threads.

PyTorch is no requirement of this project. In an environment of its own (numpy and torch 2.13.0), from the root of a
clone:

    python -m experiments.torch_step

writes experiments/results/torch_step.json: medians of interleaved steps, and the median of their ratios. Both draw z
three times a step and keep none of it; PyTorch draws by its own generator, which is seeded anew for each draw.

    python -m experiments.torch_step --model pointnet

writes torch_step_pointnet.json: batches of 32 clouds. PyTorch's shared layers are products of all points with the
weights, faster here than its convolutions of length 1, and its batch norm is its own; both passes normalise by their
batch, the second moves the running statistics.
"""
import argparse
import os
import sys

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")   # of NumPy's BLAS: zo_numpy has threads of its own

try:
    import torch  # noqa: E402
    from torch.nn import functional  # noqa: E402
except ImportError:
    sys.exit("error: PyTorch is not installed here: run this in an environment with numpy and torch 2.13.0")

from experiments.common import save_result  # noqa: E402
from zo_numpy import models  # noqa: E402
from zo_numpy.app.methods import method_of  # noqa: E402
from zo_numpy.app.progress import say  # noqa: E402
from zo_numpy.fp32 import precision  # noqa: E402
from zo_numpy.fp32.points import EPSILON, MOMENTUM  # noqa: E402
from zo_numpy.measure import bench, peak  # noqa: E402
from zo_numpy.measure.timing import interleaved, median, threads  # noqa: E402
from zo_numpy.run.config import make_config  # noqa: E402

CASES = {"lenet5": [{"batch": 32}, {"batch": 256}],
         "pointnet": [{"batch": 32, "model": "pointnet", "data": "modelnet40", "points": points}
                      for points in (256, 1024)]}


def connected(x, theta):
    """The three fully-connected layers of either network.  x: (N, features).  Returns the logits."""
    for part in ("fc1", "fc2"):
        x = functional.relu(functional.linear(x, theta[part + ".weight"], theta[part + ".bias"]))
    return functional.linear(x, theta["fc3.weight"], theta["fc3.bias"])


def lenet5(images, theta, last):
    """Logits of a batch.  images: (N, 1, 28, 28) uint8."""
    x = images.float() / 255
    for part in ("conv1", "conv2"):
        x = functional.conv2d(x, theta[part + ".weight"], theta[part + ".bias"], padding=2)
        x = functional.relu(functional.max_pool2d(x, 2))
    return connected(x.flatten(1), theta)


def pointnet(clouds, theta, last):
    """Logits of a batch.  clouds: (N, P, 3).  last: whether this pass moves the running statistics."""
    x = clouds.flatten(0, 1)
    for i in range(1, 6):
        gamma, beta, mean, var = (theta[f"norm{i}.{part}"] for part in ("gamma", "beta", "mean", "var"))
        x = functional.linear(x, theta[f"mlp{i}.weight"])
        x = functional.batch_norm(x, mean, var, gamma, beta, True, MOMENTUM if last else 0.0, EPSILON)
        x = x if i == 5 else functional.relu(x)
    return connected(functional.relu(x.unflatten(0, clouds.shape[:2]).amax(1)), theta)


def torch_step(batch, **options):
    """A function that makes the next step of a run in PyTorch, from the weights zo_numpy starts from."""
    config = make_config({"precision": "fp32", "bp_tail": 0, "batch_size": batch, **options})
    settings, network = precision.settings_at(config, 0), {"lenet5": lenet5, "pointnet": pointnet}[config.model]
    theta = {name: torch.from_numpy(array) for name, array in precision.initialise(config).items()}
    learned = [theta[name] for _, name in precision.zo_tensors(models.of_run(config), 0)]
    samples, labels = (torch.from_numpy(array) for array in peak.random_batch(config))
    labels, generator, step = labels.long(), torch.Generator(), 0

    def loss(last):
        return functional.cross_entropy(network(samples, theta, last), labels).item()

    def add(times):
        generator.manual_seed(step)
        for parameter in learned:
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=times)

    @torch.no_grad()
    def make():
        nonlocal step
        add(settings.eps)
        plus = loss(last=False)
        add(-2 * settings.eps)
        minus = loss(last=True)
        g = max(-settings.clip, min(settings.clip, (plus - minus) / (2 * settings.eps)))
        add(settings.eps - settings.eta * g)
        step += 1
    return make


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=CASES, default="lenet5")
    parser.add_argument("--rounds", type=int, default=60)
    model, rounds = vars(parser.parse_args()).values()
    rows = []
    for workers in (1, 2):
        torch.set_num_threads(workers)
        with threads(workers):
            for case in CASES[model]:
                taken = interleaved({"zo_numpy": bench.step_of(method_of, "fp32", 0, **case),
                                     "torch": torch_step(**case)}, rounds)
                ratio = median([ours / theirs for ours, theirs in zip(taken["zo_numpy"], taken["torch"])])
                shown = {name: case[name] for name in ("batch", "points") if name in case}
                rows.append({"threads": workers, **shown, "zo_numpy_over_torch": round(ratio, 3),
                             **{f"{name}_ms": round(1000 * median(times), 3) for name, times in taken.items()},
                             "fastest_over_fastest": round(min(taken["zo_numpy"]) / min(taken["torch"]), 3)})
                say(f"{workers} threads, {shown}: zo_numpy / torch = {ratio:.2f} ({rows[-1]})")
    name = "torch_step" + f"_{model}" * (model != "lenet5")
    say(f"wrote {save_result(name, {'torch': torch.__version__, 'rounds': rounds, 'rows': rows})}")


if __name__ == "__main__":
    main()
