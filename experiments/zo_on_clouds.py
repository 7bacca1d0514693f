"""What might make ZO help on clouds, where K = 2 is no better than its frozen control: each candidate beside it.

    python -m experiments.zo_on_clouds --data-dir DIR [--only norms] [--seeds 3] [--apart]      (DIR: ModelNet40)
    python -m experiments.zo_on_clouds --list

PointNet on a sixth of the training clouds of ModelNet40 at 128 points, in FP32 at K = 2, ten epochs where not said;
accuracy on the last fifth of the training clouds, never on the test set. A candidate departs from the schedules of
ModelNet10, with four times its eta_tail, in its options; or in which parameters below the tail ZO trains, while the
others stay as they were drawn; or both passes normalise by the same statistics of the batch (one norm). The control
has the same tail and trains none of them.

A row is added to results/tuning_clouds_zo.json as it finishes; the same command goes on where it stopped. On a busy
machine OPENBLAS_NUM_THREADS=1 is several times faster.
"""
import argparse
import statistics
import sys

from experiments.cloud_candidates import OF_MODELNET10
from experiments.common import QUICK, provenance, read_result
from experiments.merge import add_row
from experiments.rows import seeded
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.progress import say
from zo_numpy.fp32 import elastic_zo
from zo_numpy.fp32.points import update_running
from zo_numpy.run.checkpoint import digest
from zo_numpy.run.config import make_config
from zo_numpy.run.fitting import fitted
from zo_numpy.run.steps import PRECISIONS, Method, one_step, own_method, parts, steps_in_epoch
from zo_numpy.run.trainer import count_correct, first_weights

NAME = "tuning_clouds_zo"
COMMON = dict(model="pointnet", data="synthetic-solids" if QUICK else "modelnet40", points=32 if QUICK else 128,
              precision="fp32", bp_tail=2, validate=20 if QUICK else 1968, limit=64 if QUICK else 1640,
              epochs=1 if QUICK else 10, **OF_MODELNET10["fp32"], eta_tail=(0.02, 0.02, 0.01, 0.005))
PARTS = {   # of what ZO trains at K = 2, by the names of parameters
    "norms": lambda name: name.endswith((".gamma", ".beta")),
    "nearest": lambda name: name.startswith("fc1."),       # the layer next to the tail
    "first": lambda name: name.startswith(("mlp1.", "mlp2.", "mlp3.")),
}


def _eta(factor):
    """The schedule of eta times a factor."""
    return tuple(factor * eta for eta in OF_MODELNET10["fp32"]["eta"])


LARGE = dict(batch_size=128, eta_tail=(0.04, 0.04, 0.02, 0.01))   # a quarter of the steps, the tail's twice as long
CANDIDATES = {   # {name: options of `train`; `trains`, one of PARTS, and `one_norm` are this script's alone}
    "frozen": dict(zo_frozen=True), "as it is": {},
    "norms, eta x 10": dict(trains="norms", eta=_eta(10)), "norms, eta x 100": dict(trains="norms", eta=_eta(100)),
    "norms, eta x 300": dict(trains="norms", eta=_eta(300)),
    "eta x 3": dict(eta=_eta(3)), "eta / 3": dict(eta=_eta(1 / 3)), "eta / 10": dict(eta=_eta(0.1)),
    "nearest, eta x 3": dict(trains="nearest", eta=_eta(3)), "first, eta x 10": dict(trains="first", eta=_eta(10)),
    "one norm": dict(one_norm=True), "eps 1e-2": dict(eps=(1e-2,)), "queries 4, eta x 3": dict(queries=4, eta=_eta(3)),
    "batch 8, frozen": dict(batch_size=8, zo_frozen=True), "batch 8, norms, eta x 10": dict(
        batch_size=8, trains="norms", eta=_eta(10)),
    "batch 128, frozen": dict(**LARGE, zo_frozen=True), "batch 128": LARGE,
    "batch 128, eta x 3": dict(**LARGE, eta=_eta(3)), "batch 128, eta x 10": dict(**LARGE, eta=_eta(10)),
    "batch 128 for 40 epochs, frozen": dict(**LARGE, epochs=40, zo_frozen=True),   # as many steps as at batch 32
    "batch 128 for 40 epochs, eta x 3": dict(**LARGE, epochs=40, eta=_eta(3)),
}


def control_of(candidate):
    """The name of the candidate that it stands beside."""
    return candidate.partition(",")[0] + ", frozen" if candidate.startswith("batch") else "frozen"


def method_of(config, trains, one_norm=False):
    """The Method of a candidate: that of `train`, or its step on those parameters alone that PARTS has for `trains`.

    one_norm: the second pass normalises by the batch statistics of the first, as evaluation does by the running ones.
    """
    if trains is None and not one_norm:
        return own_method(config)

    def train_step(model, bp_tail, weights, samples, labels, seed, step, settings, record=None):
        statistics, given = {}, (model, bp_tail, weights, samples, labels, step)
        names = [(tensor, name) for tensor, name in elastic_zo.zo_tensors(model, bp_tail)
                 if trains is None or PARTS[trains](name)]
        elastic_zo.perturb(weights, names, +1, seed, step, settings)
        loss_plus = elastic_zo.forward_pass("plus", *given, statistics)[0]
        elastic_zo.perturb(weights, names, -2, seed, step, settings)
        if one_norm:
            of_batch = {f"{name}.{part}": getattr(batch, part) for name, batch in statistics.items()
                        for part in ("mean", "var")}
            loss_minus, *kept = elastic_zo.forward_pass("minus", model, bp_tail, {**weights, **of_batch}, samples,
                                                        labels, step, None)
        else:
            loss_minus, *kept = elastic_zo.forward_pass("minus", *given, statistics)
        elastic_zo.train_tail(model, bp_tail, weights, *kept, labels, settings)
        g = elastic_zo.zo_gradient(loss_plus, loss_minus, settings)
        elastic_zo.restore_and_update(weights, names, g, seed, step, settings)
        update_running(weights, statistics)
        return loss_plus, loss_minus, g

    return Method(train_step)


def train(options, data_dir=None):
    """A row's result: how many of the held out clouds are right in the end, the last epoch's loss, the digest."""
    options = {**COMMON, **options}
    trains, one_norm = options.pop("trains", None), options.pop("one_norm", False)
    config = make_config(options)
    dataset = load_data(config, data_dir, announce=lambda text: None)
    config = fitted(config, dataset)
    method, precision, model = method_of(config, trains, one_norm), PRECISIONS[config.precision], models.of_run(config)
    (samples, labels), report, _ = parts(config, dataset)
    weights, losses = first_weights(config), []
    for step in range(config.epochs * steps_in_epoch(config, len(labels))):
        losses.append(one_step(config, method, weights, samples, labels, step)[1])
    return {"correct": count_correct(precision, model, weights, *report), "clouds": len(report[1]),
            "last_loss": round(statistics.mean(losses[-steps_in_epoch(config, len(labels)):]), 4), "steps": len(losses),
            "weights_sha256": digest(precision.to_arrays(weights)[0])}


def gains(rows, candidate):
    """{seed: points over the control} of the seeds that both have."""
    def percent(name, seed):
        row = rows.get(seeded(name, seed))
        return row and 100 * row["correct"] / row["clouds"]

    both = {seed: (percent(candidate, seed), percent(control_of(candidate), seed)) for seed in range(10)}
    return {seed: here - there for seed, (here, there) in both.items() if None not in (here, there)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="a folder that holds ModelNet40")
    parser.add_argument("--only", default="", help="a candidate, or all whose name contains this")
    parser.add_argument("--seeds", type=int, default=1, help="of each candidate, from 0 (default 1)")
    parser.add_argument("--apart", action="store_true", help="a file for each row, for `python -m experiments.merge`")
    parser.add_argument("--list", action="store_true", help="say what there is and end")
    options = parser.parse_args()
    made_with = provenance()
    names = [options.only] if options.only in CANDIDATES else [name for name in CANDIDATES if options.only in name]
    wanted = [(name, seed) for seed in range(options.seeds) for name in names]
    for name, seed in [] if options.list else wanted:
        if seeded(name, seed) not in read_result(NAME).get("rows", {}):
            row = {"options": CANDIDATES[name], **train({**CANDIDATES[name], "seed": seed}, options.data_dir),
                   "commit": made_with["commit"]}
            add_row(NAME, {"experiment": NAME, "common": COMMON}, seeded(name, seed), row, options.apart)
    rows = read_result(NAME).get("rows", {})
    for name in CANDIDATES:
        found = [100 * row["correct"] / row["clouds"] for seed in range(10) if (row := rows.get(seeded(name, seed)))]
        if found:
            say(f"{name}: {statistics.mean(found):.2f} % of {len(found)}, over the control: "
                + ", ".join(f"{gain:+.2f}" for gain in gains(rows, name).values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
