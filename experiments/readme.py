"""Writes what is measured into README.md and experiments/README.md, from the results as they are; measures nothing.

    python -m experiments.readme [--check]

Everything between `<!-- made: NAME -->` and `<!-- end -->` is the text of NAME below; the rest of a document is written
by hand. A test fails while a document differs from what this writes; --check says so and ends with status 1.
"""
import argparse
import re
import sys
import textwrap

from experiments import tables
from experiments.accuracy import results
from experiments.cells import NOT_RUN, cell, pointnet_cells, training_cells
from experiments.common import RESULTS, ROOT, read_result
from experiments.rows import DATA_SETS, PRECISIONS, seeds_of
from zo_numpy.clone import say

DOCUMENTS = ("README.md", "experiments/README.md")
ORDER = {"rng.py": "where every random number comes from", "models.py": "the networks, as lists of layers",
         "shapes.py": "patches, max-pool, ReLU, flatten",
         "int8/arith.py": "integer tensors, rounding, requantisation, the matrix product", "int8/layers.py": "the forwards",
         "int8/points.py": "the forwards on point clouds", "int8/loss.py": "the integer cross-entropy",
         "int8/tail.py": "the only backwards there are", "int8/elastic_zo.py": "one training step, top to bottom",
         "steps.py": "which samples a step visits, and its line in the log",
         "trainer.py": "epochs, evaluation, checkpoints"}
NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}


def row_of(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def table_of(head, lines):
    return "\n".join([row_of(*head), row_of(*["---"] * len(head)), *(row_of(*line) for line in lines)])


def last_lines():
    """What `make mnist-int8` ends with."""
    result = results("mnist-int8").get("k2")
    if not result:
        return NOT_RUN
    last = result["last_epoch"]
    accuracy = f"test accuracy {last['test_accuracy']:.2f} %"
    return (f"    epoch {last['epoch']}/{result['config']['epochs']}  train loss {last['train_loss']:.4f}  {accuracy}  ...\n"
            f"    {accuracy} after the last epoch ({last['test_correct']:,} of {last['test_images']:,}; ...), ... of "
            f"training, weights sha256\n    {result['weights_sha256']}, runs/mnist-int8-k2-e{last['epoch']}-s0")


def gains(cells, base):
    """'+5.66 (K = 1), ..' over K = 0 or over each K's control."""
    found = [(k, cells(k).difference(cells(0) if base == "k0" else cells(k, True))) for k in (1, 2, 3)]
    return ", ".join(f"{value:+.2f} (K = {k})" for k, value in found if value is not None) or NOT_RUN


def tuning_gains(data, precision, degrees):
    zero = cell("fine-tuning", f"{data}-{precision}-{degrees}-k0", "all")
    found = [(k, cell("fine-tuning", f"{data}-{precision}-{degrees}-k{k}", "all").difference(zero)) for k in (1, 2)]
    return ", ".join(f"{value:+.2f} (K = {k})" for k, value in found if value is not None) or NOT_RUN


def losses_to_fp32(data):
    """INT8 minus FP32, of means over the seeds that each has."""
    pairs = [(k, *(training_cells(f"{data}-{precision}")(k) for precision in ("int8", "fp32"))) for k in tables.TAILS]
    return ", ".join(f"{i.mean() - f.mean():+.2f} ({tables.name_of(k)})" for k, i, f in pairs
                     if i.by_seed and f.by_seed) or NOT_RUN


def pointnet_results():
    return [read_result(path.stem) for path in sorted(RESULTS.glob("pointnet_full_modelnet*.json"))
            or sorted(RESULTS.glob("pointnet_full_p*.json"))]


def claims():
    """The abstract's claims, ours beside them."""
    rows, ratios = tables.memory_rows(), read_result("speed").get("ratios", {})
    lines = []
    for data in DATA_SETS:
        for precision in PRECISIONS:
            lines.append([f"points over vanilla ZO, full training, {NAMES[data]}, {precision.upper()}",
                          tables.CLAIMED_GAIN, gains(training_cells(f"{data}-{precision}"), "k0")])
    for precision in PRECISIONS:
        found = [gains(pointnet_cells(result, precision), "k0") for result in pointnet_results()]
        lines.append([f"the same, ModelNet10, {precision.upper()}", tables.CLAIMED_GAIN, "; ".join(found) or NOT_RUN])
        lines.append([f"the same, fine-tuning to MNIST turned by 45 degrees, {precision.upper()}", tables.CLAIMED_GAIN,
                      tuning_gains("mnist", precision, 45)])
    for precision in PRECISIONS:
        over = [(k, tables.overhead(rows, precision, 32, k)) for k in (1, 2, 3)]
        lines.append([f"more memory than vanilla ZO, {precision.upper()}, batch 32", tables.CLAIMED_OVERHEAD,
                      ", ".join(f"{value + 0:.1f} % (K = {k})".replace("-0.0", "0.0") for k, value in over
                                if value is not None) or NOT_RUN])
    memory = [(batch, tables.memory_ratio(rows, batch, 1)) for batch in (32, 256)]
    lines.append(["less memory in INT8, K = 1", tables.CLAIMED_MEMORY + " times", ", ".join(
        f"{value:.2f} times (batch {batch})" for batch, value in memory if value) or NOT_RUN])
    time = [(batch, ratios.get(f"int8_over_fp32_k1_b{batch}")) for batch in (32, 256)]
    lines.append(["less time in INT8, K = 1", tables.CLAIMED_TIME + " times", ", ".join(
        f"{1 / value:.2f} times (batch {batch})" for batch, value in time if value) or NOT_RUN])
    lines.append(["accuracy of INT8 less that of FP32, MNIST", "not compromised", losses_to_fp32("mnist")])
    return table_of(["", "claimed", "here"], lines)


def training():
    """Full training, means, both data sets."""
    lines = []
    for data in DATA_SETS:
        for k in tables.TAILS:
            values = []
            for precision in PRECISIONS:
                cells = training_cells(f"{data}-{precision}")
                values += [cells(k).short(), cells(k, True).short() if k in (1, 2, 3) else "-"]
            lines.append([NAMES[data], tables.name_of(k), *values])
    return table_of(["", "tail", "INT8, %", "its frozen control", "FP32, %", "its frozen control"], lines)


def controls():
    """Gains over the frozen control in a sentence, and how many seeds there are of what was meant."""
    text = "; ".join(f"{precision.upper()} {gains(training_cells(f'mnist-{precision}'), 'control')}"
                     for precision in PRECISIONS)
    short = [f"{precision.upper()} {tables.name_of(k)} ({len(training_cells(f'mnist-{precision}')(k).by_seed)})"
             for precision in PRECISIONS for k in tables.TAILS
             if len(training_cells(f"mnist-{precision}")(k).by_seed) < seeds_of(f"mnist-{precision}")]
    seeds = "MNIST: means over the seeds 0, 1 and 2" + (f", but for {', '.join(short)}" if short else "")
    return wrapped(f"{seeds}. Fashion-MNIST: seed 0. Gain over the frozen control on MNIST: {text}. Where that is small, it "
                   "is the tail that learns, and ZO adds little.")


def agreement():
    runs = read_result("loss_sign").get("runs", [])
    text = " and ".join(f"{run['integer_agrees']:,} of {run['steps']:,} steps (K = {run['bp_tail']})" for run in runs)
    coarse = " and ".join(f"{run['coarse_agrees']:,}" for run in runs)
    return wrapped(f"The sign of L+ - L- by the integer loss is that of float64 on the same logits in {text}; by the coarse "
                   f"loss, which has no fraction bits, in {coarse} ([picture](experiments/results/loss_sign.png)).")


def wrapped(text, width=119):
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def reading_order():
    lines = [[f"`{name}`", len((ROOT / "zo_numpy" / name).read_text().splitlines()), what] for name, what in ORDER.items()]
    return table_of(["file", "lines", "what"], lines)


def all_tables(name):
    return lambda: tables.printed(name, tables.as_markdown).rstrip()


MADE = {"last lines": last_lines, "claims": claims, "training": training, "controls": controls, "agreement": agreement,
        "reading order": reading_order, **{f"table {name}": all_tables(name) for name in tables.PRINTERS}}


def renewed(text):
    """A document with all that is made in it made anew."""
    def make(found):
        return f"{found[1]}\n{MADE[found[2]]()}\n{found[3]}"
    return re.sub(r"(<!-- made: ([\w -]+) -->)\n.*?(<!-- end -->)", make, text, flags=re.S)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if a document would change")
    check, changed = parser.parse_args().check, []
    for name in DOCUMENTS:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            changed.append(name)
            if not check:
                path.write_text(after, encoding="utf-8")
    say(f"{'differs' if check else 'wrote'}: {', '.join(changed)}" if changed else "documents are as the results are")
    return 1 if changed and check else 0


if __name__ == "__main__":
    sys.exit(main())
