"""Accuracy by batch size at equal samples seen: 10,000 training images, four epochs, whatever the batch.

    python -m experiments.batch_size [--only mnist-int8] [--seeds 3] [--jobs 2] [--numpy]
    python -m experiments.batch_size --list

K = 0..3, the frozen controls and full BP, INT8 with both scales of the tail's steps and FP32, MNIST and Fashion-MNIST,
seeds from 1. Everything else is the default, which is tuned for one batch (b_bp with the running scale: for 1, 16 and
128). INT8 rows are trained by the port in C99 where there is a compiler, bit for bit the same and several times faster;
--numpy leaves that to zo_numpy. Each result is added to results/batch_size.json as its row finishes, the most telling
rows first; interrupted, the same command goes on where it stopped. The picture, with the memory of a step beside the
accuracy, is drawn at the end (python -m experiments.figures draws it alone).
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import datasets
from experiments import port
from experiments.accuracy import RowFailed, run_row
from experiments.common import QUICK, RESULTS, as_words, changing, commit, provenance, read_result, save_result
from experiments.curves import TITLES
from experiments.rows import BP, DATA_SETS, Row, as_json
from zo_numpy.app.drawing import panels
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.measure import peak
from zo_numpy.measure.timing import threads
from zo_numpy.run.config import make_config
from zo_numpy.run.defaults import DEFAULTS

NAME = "batch_size"
SAMPLES, EPOCHS = (500, 1) if QUICK else (10_000, 4)
BATCHES = (16, 256) if QUICK else (1, 2, 4, 8, 16, 32, 64, 128, 256)
TELLING = BATCHES if QUICK else (1, 8, 64, 256)      # trained first
SEEDS = 1 if QUICK else 3
LOW_ETA_TAIL = {k: tuple(eta / 5 for eta in DEFAULTS["fp32", k]["eta_tail"]) for k in (1, 2, 3, BP)}
LOW_BATCH = 8   # FP32 takes LOW_ETA_TAIL below it: with the default, tuned at 32 and 64, batch 1 does not learn at all
KINDS = {"int8-own": dict(precision="int8", tail_scale="own"),
         "int8-running": dict(precision="int8", tail_scale="running"), "fp32": dict(precision="fp32")}
METHODS = [(k, False) for k in (0, 1, 2, 3, BP)] + [(k, True) for k in (1, 2, 3)]   # K, frozen
PORT = "the port in C99, bit for bit the same"
COLOURS = {"int8-own": "#D55E00", "int8-running": "#0072B2", "fp32": "#000000"}   # told apart without red or green
MARKERS = {"int8-own": "s", "int8-running": "o", "fp32": "^"}
LABELS = {"int8-own": "INT8, own scale", "int8-running": "INT8, running scale", "fp32": "FP32"}


def method_name(k, frozen):
    return (BP if k == BP else f"k{k}") + "-frozen" * frozen


def row_of(data, kind, k, frozen, batch, seed):
    """A Row of the experiment.  K = 0 has no tail and so no scale: it is one row, int8-own."""
    options = {**KINDS[kind], "data": data, "bp_tail": k, "batch_size": batch, "seed": seed, "limit": SAMPLES,
               "epochs": EPOCHS, **({"zo_frozen": True} if frozen else {})}
    if kind == "fp32" and k in LOW_ETA_TAIL and batch < LOW_BATCH:
        options["eta_tail"] = LOW_ETA_TAIL[k]
    return Row(NAME.replace("_", "-"), f"{data}-{kind}-{method_name(k, frozen)}-b{batch}-s{seed}", options)


def rank(data, kind, k, batch, seed):
    """What is trained first: a smaller tuple sooner."""
    integers, telling, first, mnist = kind != "fp32", batch in TELLING, seed == 1, data == DATA_SETS[0]
    often = k not in (0, 1)
    stages = (mnist and first and integers and often, mnist and first and integers and telling,
              mnist and integers and often and telling, first and integers and telling, mnist and first and telling,
              mnist and first and integers, first and integers, first, telling)
    return stages.index(True) if True in stages else len(stages), not telling, seed


def all_rows(seeds=SEEDS):
    """Every row, the most telling first.  seeds: how many of each, from 1."""
    cases = [(data, kind, k, frozen, batch, seed) for seed in range(1, seeds + 1) for data in DATA_SETS
             for batch in BATCHES for k, frozen in METHODS for kind in KINDS if not (k == 0 and kind == "int8-running")]
    return [row_of(*case) for case in sorted(cases, key=lambda case: rank(*case[:3], *case[4:]))]


def config_digest(row):
    """What tells whether a row means today what it meant when it was trained."""
    return hashlib.sha256(json.dumps(as_json(row.config), sort_keys=True).encode()).hexdigest()[:12]


def results():
    return read_result(NAME).get("rows", {})


def is_finished(row, found=None):
    result = (results() if found is None else found).get(row.name)
    return result is not None and result["config"] == config_digest(row)


def change_result(**parts):
    """Adds to the result's parts, mappings both, whoever else does."""
    with changing(NAME):
        result = read_result(NAME)
        for name, part in parts.items():
            result[name] = {**result.get(name, {}), **part}
        save_result(NAME, {"experiment": NAME, "samples": SAMPLES, "epochs": EPOCHS,
                           **{name: result[name] for name in ("memory", "rows") if name in result}})


def train_by_port(program, row):
    """A row's result as (curve, correct, images, weights_sha256), from the port."""
    config = row.config
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder) / "config.json"
        given.write_text(json.dumps(as_json(config)))
        words = ["train", given, port.BUILD / "data" / config.data, "--out", folder, "--single", "no"]
        done = subprocess.run([str(program), *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise RowFailed(f"{row.name}: the port ended with status {done.returncode}: {done.stderr.strip()}")
        lines = given.with_name("evaluation.txt").read_text().splitlines()
        evaluated = [list(map(int, line.split())) for line in lines]
        digest = given.with_name("steps.txt").read_text().split()[-1]
    return [round(100 * right / images, 2) for _, right, images in evaluated], *evaluated[-1][1:], digest


def train(row, program, made_with):
    """Trains a row and adds its result."""
    beside = {}
    if program and row.config.precision == "int8":
        curve, correct, images, digest = train_by_port(program, row)
        beside = {"trained_with": PORT}
    else:
        result = run_row(row, shown=False, threads=1)
        last, curve, digest = result["last_epoch"], result["curve"], result["weights_sha256"]
        correct, images = last["test_correct"], last["test_images"]
    change_result(rows={row.name: {"options": row.options, "config": config_digest(row), "curve": curve,
                                   "correct": correct, "images": images, "weights_sha256": digest, **beside,
                                   "commit": made_with["commit"]}})
    say(f"{row.name}: {100 * correct / images:.2f} %")


def built_port():
    """The port's program, and its data; None without a compiler."""
    if not port.found_compiler():
        return None
    for data in DATA_SETS:
        folder = port.BUILD / "data" / data
        folder.mkdir(parents=True, exist_ok=True)
        port.write_idx(datasets.load(data, announce=say), folder)
    return port.build(port.BUILD / "native", port.NATIVE)


def measure_memory():
    """Adds the bytes of a step of each K and batch, measured on one thread."""
    found = {}
    with threads(1):
        for kind in ("int8-running", "fp32"):
            for k in (0, 1, 2, 3, BP):
                for batch in BATCHES:
                    options = {**KINDS[kind], **({"tail_scale": "own"} if k == 0 and kind != "fp32" else {})}
                    config = make_config({**options, "bp_tail": k, "batch_size": batch})
                    found[f"{config.precision}-{method_name(k, False)}-b{batch}"] = peak.measure(
                        config, method_of(config), 5)
    change_result(memory=found)


def accuracies(result, data, kind, k, frozen):
    """{batch: [percent of each seed]} of what has run."""
    found = {}
    for batch in BATCHES:
        for seed in range(1, 100):
            row = result["rows"].get(row_of(data, kind, k, frozen, batch, seed).name)
            if row:
                found.setdefault(batch, []).append(100 * row["correct"] / row["images"])
    return found


def draw(result, path):
    """A row of panels a data set, a panel for each K: means over the seeds, bars from the worst to the best."""
    columns = (1, 2, 3, BP)
    with panels(len(columns), (11, 5.6), rows=len(DATA_SETS)) as (figure, all_axes):
        for axes, (data, k) in zip(all_axes, [(data, k) for data in DATA_SETS for k in columns]):
            title = "full BP" if k == BP else f"K = {k}"
            axes.set_title(f"{TITLES[data]}, {title}", fontsize=10)
            for kind in KINDS:
                lines = [(k, False, "-", LABELS[kind])] + ([(k, True, "--", None)] if k != BP else [])
                lines += [(0, False, ":", None)] if k == 1 else []
                for which, frozen, style, label in lines:
                    found = accuracies(result, data, kind, which, frozen)
                    means = [statistics.mean(values) for values in found.values()]
                    spread = [[mean - min(values) for mean, values in zip(means, found.values())],
                              [max(values) - mean for mean, values in zip(means, found.values())]]
                    if found:
                        axes.errorbar(list(found), means, spread, color=COLOURS[kind], linestyle=style, label=label,
                                      marker=MARKERS[kind], markersize=3.5, linewidth=1.3, capsize=2, elinewidth=0.8)
            axes.set_xscale("log", base=2)
            axes.set_xticks(BATCHES[::2], [str(batch) for batch in BATCHES[::2]])
            axes.grid(alpha=0.25)
            beside = axes.twinx()
            for precision, style in (("int8", "-"), ("fp32", "-.")):
                held = [(batch, result.get("memory", {}).get(f"{precision}-{method_name(k, False)}-b{batch}"))
                        for batch in BATCHES]
                held = [(batch, bytes_ / 1e6) for batch, bytes_ in held if bytes_]
                if held:
                    beside.plot(*zip(*held), color="0.62", linestyle=style, linewidth=1,
                                label=f"memory, {precision.upper()}")
            beside.set_yscale("log")
            beside.set_ylim(0.1, 100)
            beside.tick_params(colors="0.45", labelsize=8, labelright=k == BP)
            if k == BP:
                beside.set_ylabel("MB of a step", color="0.45")
            if k == columns[0]:
                axes.set_ylabel("test accuracy, %")
            if data == DATA_SETS[-1]:
                axes.set_xlabel("batch")
        named = dict(zip(*reversed([part for axes in figure.axes for part in [axes.get_legend_handles_labels()]][0])))
        for axes in figure.axes:
            named |= dict(zip(*reversed(axes.get_legend_handles_labels())))
        figure.legend(named.values(), named, loc="outside lower center", ncols=5, fontsize=9, frameon=False,
                      title="solid: ElasticZO or full BP, dashed: frozen control, dotted: K = 0", title_fontsize=9)
        figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of each row, from 1 (default {SEEDS})")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, each on one thread (default 1)")
    parser.add_argument("--numpy", action="store_true", help="train INT8 rows with zo_numpy, whatever is installed")
    parser.add_argument("--list", action="store_true", help="name the rows and whether they have a result")
    options = parser.parse_args()
    if options.seeds < 1 or options.jobs < 1:
        parser.error("--seeds and --jobs are at least 1")
    rows, found = [row for row in all_rows(options.seeds) if options.only in row.name], results()
    todo = [row for row in rows if not is_finished(row, found)]
    if options.list:
        for row in rows:
            say(f"{row.name}: " + (f"{100 * found[row.name]['correct'] / found[row.name]['images']:.2f} %"
                                   if is_finished(row, found) else f"not run ({' '.join(as_words(row.options))})"))
        return 0
    say(f"{len(todo)} of {len(rows)} rows to train")
    if not read_result(NAME).get("memory"):
        measure_memory()
    made_with, program, status = provenance(), None if options.numpy or not todo else built_port(), 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(train, row, program, made_with) for row in todo]
        try:
            for future in concurrent.futures.as_completed(running):
                try:
                    future.result()
                except RowFailed as error:
                    print(f"error: {error}", file=sys.stderr)
                    status = 1
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("interrupted: the same command goes on where it stopped", file=sys.stderr)
            return 130
    draw(read_result(NAME), RESULTS / f"{NAME}.png")
    return status


if __name__ == "__main__":
    sys.exit(main())
