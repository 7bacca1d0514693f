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
from experiments.cells import NOT_RUN, cell, markdown_rows, pointnet_cells, pointnet_results, training_cells
from experiments.clouds_text import zo_on_clouds_text
from experiments.common import ROOT, read_result
from experiments.curves import TITLES
from experiments.rows import DATA_SETS, DEGREES, LONGER, PRECISIONS, seeds_of
from zo_numpy.app.progress import say

DOCUMENTS = ("README.md", "experiments/README.md")
ORDER = {"int8/elastic_zo.py": "one training step, top to bottom",
         "int8/draws.py": "how random words become z, and the first weights",
         "rng.py": "where every random word comes from", "models.py": "the networks, as lists of layers",
         "shapes.py": "patches, max-pool, ReLU, flatten",
         "int8/arith.py": "integer tensors, rounding, requantisation, the matrix product",
         "int8/layers.py": "the forwards, plainly",
         "int8/points.py": "the forwards on point clouds", "int8/loss.py": "the integer cross-entropy",
         "int8/tail.py": "the only backwards there are", "int8/tiled.py": "what training runs: the same in bounded memory",
         "int8/variants.py": "the frozen control and other departures",
         "run/steps.py": "which samples a step visits, and its line in the log",
         "run/trainer.py": "epochs, evaluation, checkpoints"}


def table_of(head, lines):
    return "\n".join(markdown_rows(head, lines))


def last_lines():
    """What `make mnist-int8` ends with."""
    result = results("mnist-int8").get("k2")
    if not result:
        return NOT_RUN
    last = result["last_epoch"]
    accuracy = f"test accuracy {last['test_accuracy']:.2f} %"
    epoch = f"{last['epoch']}/{result['config']['epochs']}"
    return (f"    epoch {epoch}  train loss {last['train_loss']:.4f}  {accuracy}  ...\n"
            f"    {accuracy} after the last epoch ({last['test_correct']:,} of {last['test_images']:,}; ...), ... of "
            f"training, weights sha256\n    {result['weights_sha256']}, runs/mnist-int8-k2-e{last['epoch']}-s0")


def listed(values):
    """'+5.66, +9.62' of (K, value) pairs, with its K after each value if another is missing."""
    values = list(values)
    found = [(k, value) for k, value in values if value is not None]
    if len(found) == len(values) > 1:
        return ", ".join(f"{value:+.2f}".replace("-0.00", "+0.00") for _, value in found)
    return ", ".join(f"{value:+.2f} ({tables.name_of(k)})" for k, value in found) or NOT_RUN


def by_batch(pairs):
    return ", ".join(f"{value:.2f} (batch {batch})" for batch, value in pairs if value) or NOT_RUN


def gains(cells, over_control=False):
    """Points gained by K = 1, 2, 3 over K = 0, or over each K's control."""
    return listed((k, cells(k).difference(cells(k, True) if over_control else cells(0))) for k in (1, 2, 3))


def tuning_gains(data, precision, degrees):
    """The same of fine-tuning, which has no K = 3."""
    zero = cell("fine-tuning", f"{data}-{precision}-{degrees}-k0", "all")
    stem = f"{data}-{precision}-{degrees}-k"
    return listed((k, cell("fine-tuning", f"{stem}{k}", "all").difference(zero)) for k in (1, 2))


def modelnet10_results():
    return [result for result in pointnet_results() if result["data"] == "modelnet10"]


def claims():
    """The abstract's claims, ours beside them; a column a precision."""
    rows, ratios = tables.memory_rows(), read_result("speed").get("ratios", {})
    points = f"{tables.CLAIMED_GAIN} points"
    lines = [[f"over vanilla ZO, {TITLES[data]}", points, *(gains(training_cells(f"{data}-{precision}"))
                                                           for precision in PRECISIONS)] for data in DATA_SETS]
    for result in [result for result in modelnet10_results() if len(result["rows"]) > 1] or [{"points": 256}]:
        lines.append([f"the same, ModelNet10, {result['points']} points", points,
                      *(gains(pointnet_cells(result, precision)) for precision in PRECISIONS)])
    lines += [[f"the same, fine-tuning, {TITLES[data]} turned by {degrees} degrees", points,
               *(tuning_gains(data, precision, degrees) for precision in PRECISIONS)]
              for data in DATA_SETS for degrees in DEGREES]
    tilted = [pointnet_cells(read_result("pointnet_tilt_p256"), precision) for precision in PRECISIONS]
    lines.append(["the same, fine-tuning, ModelNet10 tilted by 20 degrees, K = 2 alone", points,
                  *(listed([(2, cells(2).difference(cells(0)))]) for cells in tilted)])
    over = [listed((k, tables.overhead(rows, precision, 32, k)) for k in (1, 2, 3)) for precision in PRECISIONS]
    lines.append(["memory over vanilla ZO, %, batch 32", tables.CLAIMED_OVERHEAD, *over])
    lines.append(["memory, FP32 over INT8, K = 1", tables.CLAIMED_MEMORY, by_batch(
        (batch, tables.memory_ratio(rows, batch, 1)) for batch in (32, 256)), "-"])
    times = {batch: ratios.get(f"int8_over_fp32_k1_b{batch}") for batch in (32, 256)}
    lines.append(["time, FP32 over INT8, K = 1", tables.CLAIMED_TIME, by_batch(
        (batch, 1 / ratio) for batch, ratio in times.items() if ratio), "-"])
    pairs = [(k, *(training_cells(f"mnist-{precision}")(k) for precision in PRECISIONS)) for k in tables.TAILS]
    differences = [(k, i.mean() - f.mean()) for k, i, f in pairs if i.by_seed and f.by_seed]
    lines.append(["INT8 less FP32, MNIST, K = 0, 1, 2, 3, full BP", "no loss of accuracy",
                  ", ".join(f"{value:+.2f}" for _, value in differences) if len(differences) == len(tables.TAILS)
                  else listed(differences), "-"])
    return table_of(["", "claimed", "here, INT8: K = 1, 2, 3", "here, FP32: K = 1, 2, 3"], lines)


def clouds_at(points):
    """The cells of PointNet's rows by precision, {precision: cells}."""
    result = next((result for result in modelnet10_results() if result["points"] == points), {"points": points})
    return {precision: pointnet_cells(result, precision) for precision in PRECISIONS}


def training():
    """Full training, means, all data sets; PointNet at 256 points, which both precisions have."""
    columns = {f"{TITLES[data]}, {precision.upper()}": training_cells(f"{data}-{precision}")
               for data in DATA_SETS for precision in PRECISIONS}
    columns |= {f"ModelNet10, {precision.upper()}": cells for precision, cells in clouds_at(256).items()}
    lines = [[tables.name_of(k), *(" / ".join([cells(k).short()] + [cells(k, True).short()] * (k in (1, 2, 3)))
                                   for cells in columns.values())] for k in tables.TAILS]
    return table_of(["accuracy / its frozen control, %", *columns], lines)


def controls():
    """Gains over the frozen control in a sentence, and how many seeds there are of what was meant."""
    text = "; ".join(f"{precision.upper()} {gains(training_cells(f'mnist-{precision}'), True)}"
                     for precision in PRECISIONS)
    short = [f"{precision.upper()} {tables.name_of(k)} ({len(training_cells(f'mnist-{precision}')(k).by_seed)})"
             for precision in PRECISIONS for k in tables.TAILS
             if len(training_cells(f"mnist-{precision}")(k).by_seed) < seeds_of(f"mnist-{precision}")]
    seeds = "MNIST: means over the seeds 0, 1 and 2" + (f", but for {', '.join(short)}" if short else "")
    clouds = "; ".join(f"{precision.upper()} {gains(cells, True)}" for precision, cells in clouds_at(256).items())
    return wrapped(f"{seeds}. Fashion-MNIST and ModelNet10 (256 points): seed 0. Gain over the frozen control, "
                   f"K = 1, 2, 3, on MNIST: {text}; on ModelNet10: {clouds}. "
                   "Where that is small, it is the tail that learns, and ZO adds little.")


def longer():
    """What more epochs and larger batches bring on MNIST, in a sentence."""
    parts, cells, defaults = [], training_cells("longer"), training_cells("mnist-int8")
    for k, more in LONGER.items():
        control = f", control {cells(k, True).short()}" if k else ""
        parts.append(f"K = {k} {cells(k).short()} ({more['epochs']} epochs, {cells(k).gain(defaults(k))}{control})")
    return wrapped("Several times the epochs with larger batches, an addition to these rows, bring INT8 on MNIST to: "
                   + "; ".join(parts) + ".")


def same_weights():
    """The K whose run ends in the same weights when float64 decides the sign of g (seed 0), and those that do not."""
    integer, exact = results("mnist-int8"), results("float-loss")
    ran = [f"k{k}" for k in range(4) if f"k{k}" in integer and f"k{k}" in exact]
    same = [name for name in ran if integer[name]["weights_sha256"] == exact[name]["weights_sha256"]]
    return [name[1:] for name in same], [name[1:] for name in ran if name not in same]


def agreement():
    """How often the integer loss has float64's sign, and what a run makes of it."""
    runs = read_result("loss_sign").get("runs", [])
    text = " and ".join(f"{run['integer_agrees']:,} of {run['steps']:,} steps (K = {run['bp_tail']})" for run in runs)
    coarse = " and ".join(f"{run['coarse_agrees']:,}" for run in runs)
    same, others = same_weights()
    whole = "".join(f" Whole runs on MNIST in which float64 decides it end in {verb} weights at K = {', '.join(found)}."
                    for verb, found in (("the same", same), ("other", others)) if found)
    return wrapped(f"The sign of L+ - L- by the integer loss is that of float64 on the same logits in {text}; by the "
                   f"coarse loss, which has no fraction bits, in {coarse} "
                   f"([picture](experiments/results/loss_sign.png)).{whole}")


def wrapped(text, width=119):
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def reading_order():
    counts = {name: len((ROOT / "zo_numpy" / name).read_text().splitlines()) for name in ORDER}
    return table_of(["file", "lines", "what"], [[f"`{name}`", counts[name], what] for name, what in ORDER.items()])


def all_tables(name):
    return lambda: tables.printed(name, tables.as_markdown).rstrip()


MADE = {"last lines": last_lines, "claims": claims, "training": training, "controls": controls, "longer": longer,
        "agreement": agreement, "reading order": reading_order, "zo on clouds": zo_on_clouds_text,
        **{f"table {name}": all_tables(name) for name in tables.PRINTERS}}


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
