"""Writes what is measured into the documents below, from the results as they are; measures nothing.

    python -m experiments.readme [--check]

Everything between `<!-- made: NAME -->` and `<!-- end -->` is the text of NAME below; the rest of a document is written
by hand. A test fails while a document differs from what this writes; --check says so and ends with status 1.
"""
import argparse
import re
import sys

from experiments import (
    adapting, batch_text, claims, clouds_text, cost_tables, findings, goals, limits, schedules_text, tables,
    zo_small_batch)
from experiments.accuracy import result_name, results
from experiments.cells import (
    MARKS, NOT_RUN, as_markdown, folded, is_of_changed_code, pointnet_files, table_of, training_cells)
from experiments.common import ROOT, read_result
from experiments.findings import bullets, wrapped
from experiments.machines_text import machines_text
from experiments.rows import LONGER, TABLES
from zo_numpy.app.progress import say

DOCUMENTS = ("README.md", "experiments/README.md", "experiments/port_c99/README.md")
ORDER = {"int8/elastic_zo.py": "one training step, top to bottom",
         "int8/draws.py": "how random words become z, and the first weights",
         "rng.py": "where every random word comes from", "models.py": "the networks, as lists of layers",
         "shapes.py": "patches, max-pool, ReLU, flatten",
         "int8/arith.py": "integer tensors, rounding, requantisation, the matrix product",
         "int8/layers.py": "the layers, forward, written plainly",
         "int8/points.py": "the same on point clouds", "int8/loss.py": "the integer cross-entropy",
         "int8/tail.py": "the tail, backward: nothing else goes backward",
         "int8/tiled.py": "what training runs: the same in bounded memory",
         "int8/variants.py": "the frozen control and other departures",
         "run/steps.py": "which samples a step visits, and its line in the log",
         "run/trainer.py": "epochs, evaluation, checkpoints"}


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


def longer():
    """What more epochs and larger batches bring on MNIST, in a sentence."""
    parts, cells, defaults = [], training_cells("longer"), training_cells("mnist-int8")
    for k, more in LONGER.items():
        control = f", control {cells(k, True).short()}" if k else ""
        gain = cells(k).difference(defaults(k)).short()
        parts.append(f"K = {k} {cells(k).short()} ({more['epochs']} epochs, {gain}{control})")
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
    text = " and ".join(f"{run['integer_agrees']:,} of {run['steps']:,} steps (K = {run['bp_tail']}, batch "
                        f"{run['batch_size']})" for run in runs)
    coarse = " and ".join(f"{run['coarse_agrees']:,}" for run in runs)
    same, others = same_weights()
    whole = "".join(f" Whole runs on MNIST in which float64 decides it end in {verb} weights at K = {', '.join(found)}."
                    for verb, found in (("the same", same), ("other", others)) if found)
    return wrapped(f"The sign of L+ - L- by the integer loss is that of float64 on the same logits in {text}; by the "
                   f"coarse loss, which has no fraction bits, in {coarse} "
                   f"([picture](results/loss_sign.png)).{whole}")


def reading_order():
    counts = {name: len((ROOT / "zo_numpy" / name).read_text().splitlines()) for name in ORDER}
    return table_of(["file", "lines", "what"], [[f"`{name}`", counts[name], what] for name, what in ORDER.items()])


def changed_code():
    """How many rows are of code that no commit has, and how many of those the port has repeated."""
    rows = [row for name in [*map(result_name, TABLES), *(path.stem for path in pointnet_files())]
            for row in read_result(name).get("rows", {}).values()]
    changed = [row for row in rows if is_of_changed_code(row)]
    repeated = sum(row["agrees"] for row in read_result("port_rows").get("rows", {}).values())
    return wrapped(f"Of {len(rows)} rows {len(changed)} come from code with changes that were not committed; they are "
                   f"marked ^ in experiments/README.md. The port trained {repeated} rows anew, to the same digest.")


def all_tables(name):
    """The parts of a table, each below its title; what has not run stands open."""
    return lambda: tables.printed(name, as_markdown if name == "missing" else folded).rstrip()


MADE = {"last lines": last_lines, "findings": findings.findings, "details": findings.details,
        "added": findings.added, "added in full": lambda: findings.added(findings.TAILS), "limits": limits.limits,
        "judged together": findings.judged_together,
        "claims": claims.claims, "goals": goals.goals, "marks": lambda: wrapped(MARKS), "longer": longer,
        "agreement": agreement, "changed code": changed_code, "adapting": adapting.told,
        "batch of one": batch_text.told, "zo small batch": zo_small_batch.told,
        "speed limits": lambda: bullets(cost_tables.speed_limits()),
        "reading order": reading_order, "gradient agreement": clouds_text.agreement,
        "worth of a step": clouds_text.worth_of_a_step, "candidates of zo": clouds_text.candidates,
        "sizes of z": clouds_text.sizes_of_z, "schedules of modelnet40": schedules_text.candidates,
        "earlier schedules": schedules_text.earlier,
        "machines": machines_text,
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
