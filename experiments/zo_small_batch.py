"""What might help ZO at small batches, where the sign of L+ - L- is mostly noise: each candidate beside its control.

    python -m experiments.zo_small_batch [--only k1-b8] [--list]

10,000 training images of MNIST, four epochs, INT8 with the running scale, batches of 1 and 8, K = 1 and 2, seeds 1 to
3; accuracy on the last 5,000 training images, never on the test set. Candidates:

    still N     g = 0 where |L+ - L-| is below N sixteenths of its running mean, all in integers
    b_zo N      steps of N bits; at 0 and below only some of what z touches moves
    p_zero N    a sparser z, N / 256 of it zero all the time
    queries N   N perturbations a step, of which each has its sign and its step

A row is added to results/zo_small_batch.json as it finishes; the same command goes on where it stopped.
"""
import argparse
import statistics
import sys

from experiments.cells import Cell, table_of
from experiments.common import QUICK, changing, provenance, read_result, save_result
from zo_numpy import models
from zo_numpy.app.data import load_data
from zo_numpy.app.progress import say
from zo_numpy.int8 import elastic_zo
from zo_numpy.run.checkpoint import digest
from zo_numpy.run.config import make_config
from zo_numpy.run.steps import PRECISIONS, Method, one_step, own_method, parts, steps_in_epoch
from zo_numpy.run.trainer import count_correct, first_weights

NAME = "zo_small_batch"
COMMON = dict(data="mnist-subset" if QUICK else "mnist", validate=5000, limit=200 if QUICK else 10_000,
              epochs=1 if QUICK else 4, tail_scale="running")
SEEDS = (1,) if QUICK else (1, 2, 3)
CANDIDATES = {   # {name: options of `train`}; `still` and a b_zo below 1 are this script's alone
    "frozen": dict(zo_frozen=True), "as it is": {}, "still 4": dict(still=4), "still 8": dict(still=8),
    "still 16": dict(still=16), "still 24": dict(still=24), "b_zo 0": dict(b_zo=0), "b_zo -1": dict(b_zo=-1),
    "b_zo -2": dict(b_zo=-2), "p_zero 248": dict(p_zero=(248,)), "p_zero 254": dict(p_zero=(254,)),
    "queries 4": dict(queries=4),
    "still 16, b_zo 0": dict(still=16, b_zo=0),
}
MEMORY = 6       # the running mean takes a 2^-6 of what is new


class Stillness:
    """g = 0 where |L+ - L-| is small: an integer running mean of it, times 2^MEMORY."""

    def __init__(self, sixteenths):
        self.sixteenths, self.sum = sixteenths, 0

    def gradient(self, loss_plus, loss_minus):
        """g of a step, by the mean of the steps before it."""
        size, mean = abs(loss_plus - loss_minus), self.sum >> MEMORY
        self.sum += size - mean
        return 0 if 16 * size < self.sixteenths * mean else elastic_zo.zo_gradient(loss_plus, loss_minus)


def method_of(config, still, b_zo):
    """The Method of a candidate: that of `train`, or its step with a b_zo below 1 and with Stillness."""
    if still is None and b_zo is None:
        return own_method(config)
    quiet = Stillness(still or 0)

    def train_step(model, bp_tail, weights, images, labels, seed, step, settings, record=None):
        settings = settings if b_zo is None else settings._replace(b_zo=b_zo)
        zo_names = elastic_zo.zo_tensors(model, bp_tail)
        given = model, bp_tail, weights, images, labels, settings
        elastic_zo.perturb(weights, zo_names, +1, seed, step, settings)
        loss_plus = elastic_zo.forward_pass("plus", *given)[0]
        elastic_zo.perturb(weights, zo_names, -2, seed, step, settings)
        loss_minus, *kept = elastic_zo.forward_pass("minus", *given)
        elastic_zo.train_tail(model, bp_tail, weights, *kept, labels, settings)
        g = quiet.gradient(loss_plus, loss_minus)
        elastic_zo.restore_and_update(weights, zo_names, g, seed, step, settings)
        return loss_plus, loss_minus, g

    return Method(train_step)


def row_name(k, batch, candidate, seed):
    return f"k{k}-b{batch} {candidate}, seed {seed}"


def all_rows():
    """{name: options} of every row; candidates of one seed first."""
    return {row_name(k, batch, candidate, seed): dict(bp_tail=k, batch_size=batch, seed=seed, **options)
            for seed in SEEDS for k in (1, 2) for batch in (8, 1) for candidate, options in CANDIDATES.items()}


def train(options):
    """A row's result: how many of the held out images are right after each epoch, and the digest of the weights."""
    options = {**COMMON, **options}
    still, b_zo = options.pop("still", None), options.pop("b_zo", None)
    config = make_config(options)
    method, precision, model = method_of(config, still, b_zo), PRECISIONS[config.precision], models.of_run(config)
    (images, labels), report, _ = parts(config, load_data(config, announce=lambda text: None))
    weights, correct = first_weights(config), []
    in_epoch = steps_in_epoch(config, len(labels))
    for epoch in range(config.epochs):
        for step in range(epoch * in_epoch, (epoch + 1) * in_epoch):
            one_step(config, method, weights, images, labels, step)
        correct.append(count_correct(precision, model, weights, *report))
    return {"curve": [round(100 * right / len(report[1]), 2) for right in correct], "correct": correct[-1],
            "images": len(report[1]), "weights_sha256": digest(precision.to_arrays(weights)[0])}


def cell(rows, candidate, k, batch):
    """The Cell of a candidate."""
    return Cell({seed: 100 * rows[name]["correct"] / rows[name]["images"] for seed in SEEDS
                 if (name := row_name(k, batch, candidate, seed)) in rows})


def told():
    """A table: what ZO adds to its control, and what each candidate adds to ZO as it is."""
    rows, columns = read_result(NAME).get("rows", {}), [(k, batch) for k in (1, 2) for batch in (1, 8)]
    lines = [["ZO as it is, over its control", *(
        cell(rows, "as it is", *at).difference(cell(rows, "frozen", *at)) for at in columns)]]
    for name in CANDIDATES:
        found = [cell(rows, name, *at).difference(cell(rows, "as it is", *at)) for at in columns]
        if name not in ("frozen", "as it is") and any(one.by_seed for one in found):
            lines.append([name, *found])
    return table_of(["points", *(f"K = {k}, batch {batch}" for k, batch in columns)], lines)


def add_row(name, row):
    """Adds a row to the result, whoever else is adding."""
    with changing(NAME):
        save_result(NAME, {"experiment": NAME, "common": COMMON,
                           "rows": {**read_result(NAME).get("rows", {}), name: row}})


def lines(rows):
    """A line a candidate: its mean over the seeds, from the worst to the best, and the mean gain over the control."""
    for k in (1, 2):
        for batch in (8, 1):
            for candidate in CANDIDATES:
                here = cell(rows, candidate, k, batch)
                if values := here.by_seed:
                    yield (f"K = {k}, batch {batch}, {candidate}: {statistics.mean(values.values()):.2f} % "
                           f"({min(values.values()):.2f} to {max(values.values()):.2f}, {len(values)} seed"
                           f"{'s' * (len(values) > 1)}), "
                           f"{here.difference(cell(rows, 'frozen', k, batch))} over the control")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--list", action="store_true", help="say what there is and end")
    options = parser.parse_args()
    made_with = provenance()
    for name, given in all_rows().items():
        finished = read_result(NAME).get("rows", {}).get(name)
        if options.only in name and not finished and not options.list:
            add_row(name, {"options": given, **train(given), "commit": made_with["commit"]})
            say(name)
    for line in lines(read_result(NAME).get("rows", {})):
        say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
