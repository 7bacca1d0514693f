"""Bugs planted in the port, one at a time: which golden vector notices each.

    python -m experiments.port_bugs

plants each of the bugs below in a copy of the C source, builds it, and checks ops, then traces, then runs until one
differs. Last come "fresh" runs, which zo_numpy makes on the spot for what no committed vector has: clouds of more than
one tile, full backpropagation with a running scale. Writes experiments/results/port_bugs.json. A bug that nothing notices is an error. What
is finished stands in runs/port_bugs.jsonl; the same command goes on there, as long as the commit is the same.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from experiments import port
from experiments.common import QUICK, ROOT, commit, save_result
from zo_numpy.app import flat_data
from zo_numpy.app.data import load_data
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.golden.runs import made_lines
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import describe
from zo_numpy.run.fitting import fitted

FLAGS = ("-O2", "-ffp-contract=fast", "-fno-math-errno", "-Wno-error")
LOG = ROOT / "runs" / "port_bugs.jsonl"
SECONDS = 300   # a check that takes longer has no end
# Those without a data set first.
RUNS = ("solids-int8-k0", "solids-int8-k1-queries3", "solids-int8-k2-frozen", "solids-int8-k3-queries2-both",
        "solids-int8-full-bp", "solids-fp32-k3", "subset-int8-full-bp", "subset-int8-k2-limit",
        "subset-int8-k2-running-both", "subset-int8-k1-both", "subset-int8-k0", "subset-fp32-k0-queries3",
        "subset-fp32-k1-both", "subset-fp32-k1")
FRESH = {
    "points": dict(model="narrow-pointnet", data="synthetic-solids", bp_tail=1, epochs=1, batch_size=9, limit=40,
                   points=70, validate=20),
    "full-bp-running": dict(model="narrow-lenet", data="mnist-subset", bp_tail="all", epochs=1, batch_size=4, limit=40,
                            validate=20, tail_scale="running", b_bp=(1,)),
}
BUGS = [   # (file, what is there, what is put there, in words)
    ("rng.c", "round < 10", "round < 9", "Philox makes nine rounds"),
    ("rng.c", "counter[0]++;", "counter[0] += i > 0;", "the first block is number 0"),
    ("rng.c", "* (j % 4)) & 0xffffu", "* (3 - j % 4)) & 0xffffu", "the high half-word of a word comes first"),
    ("rng.c", "h & 0x80u", "h & 0x40u", "the sign of z is bit 6"),
    ("rng.c", "256 - p_zero", "p_zero", "z is dropped where it should be kept"),
    ("rng.c", "keys[a] == keys[b] && a < b", "keys[a] == keys[b] && a > b", "samples of equal words change places"),
    ("int8/arith.c", "(int64_t)1 << (shift - 1)", "((int64_t)1 << (shift - 1)) - 1", "halves round towards zero"),
    ("int8/arith.c", "<< odd", "", "the low part of an odd shift is not doubled"),
    ("int8/arith.c", "(dropped >> half) > low", "(dropped >> half) >= low", "equal parts round up"),
    ("int8/arith.c", "width > 7 ? width - 7", "width > 8 ? width - 8", "an accumulator keeps eight bits"),
    ("int8/arith.c", "magnitude = magnitude > LARGEST ? LARGEST : magnitude;", "", "128 is not clipped to 127"),
    ("int8/arith.c", "pixels[i] >> 1", "(pixels[i] + 1) >> 1", "pixels are rounded up"),
    ("int8/layers.c", "row + i - pad, from = column + j - pad", "row - i + pad, from = column - j + pad",
     "the kernel is flipped"),
    ("int8/layers.c", "x[i] > 0 ? x[i] : 0", "x[i] > 1 ? x[i] : 0", "ReLU drops ones"),
    ("int8/points.c", "int32_t largest = cloud[c];", "int32_t largest = 0;", "the maximum over points starts from 0"),
    ("int8/loss.c", "exponent > MAX_EXPONENT ? MAX_EXPONENT : exponent", "exponent",
     "the exponent of the logits is not capped"),
    ("int8/loss.c", "WHOLE - 1) >> FRACTION_BITS;\n    const int64_t f", "0) >> FRACTION_BITS;\n    const int64_t f",
     "whole bits of a distance are rounded down"),
    ("int8/loss.c", "223531", "223530", "a coefficient of EXP2 is one less"),
    ("int8/loss.c", "(t * t) >> TERM_BITS", "t", "LOG2 is taken at t in place of its square"),
    ("int8/loss.c", "-((-u + WHOLE - 1) / WHOLE)", "-(-u / WHOLE)", "the coarse loss rounds towards zero"),
    ("int8/tail.c", "sums[sample * classes + labels[sample]] -=", "sums[sample * classes + labels[0]] -=",
     "one-hot is of the first label"),
    ("int8/tail.c", "x[i] > 0 ? error[i] : 0", "x[i] >= 0 ? error[i] : 0", "an activation of 0 lets the error pass"),
    ("int8/tail.c", "width > b_bp ? width - b_bp : 0", "width > b_bp ? width - b_bp + 1 : 0",
     "a gradient keeps one bit less"),
    ("int8/tail.c", "scale->reference = size;", "scale->reference = size + 1;", "the running scale rises too far"),
    ("int8/tail.c", "size >= scale->reference", "size > scale->reference", "a gradient that reaches the reference "
     "does not clear its age"),
    ("int8/tail.c", "++scale->age == FALL_AFTER", "++scale->age == FALL_AFTER + 1", "a reference falls one gradient "
     "late"),
    ("int8/tail.c", "if (maximum && size", "if (size", "a gradient of zeros reaches the reference"),
    ("int8/tail.c", "scale->reference - b_bp - exponent", "scale->reference - b_bp", "the running scale forgets the "
     "exponent of the gradient"),
    ("int8/tail.c", "in * out, exponent + trainer->exponents[b], b_bp", "in * out, exponent, b_bp",
     "the exponent of a gradient forgets the input's"),
    ("int8/full_bp.c", "exponent + trainer->exponents[b], b_bp", "exponent, b_bp", "full BP: the exponent of a "
     "gradient forgets the input's"),
    ("device/device.c", "const struct scale *scale = scale_of(trainer, b);", "const struct scale *scale = NULL;",
     "the digest lacks the running scales"),
    ("int8/tail.c", "exponent += trainer->weights[b].exponent + shift", "exponent += shift",
     "the exponent of an error forgets the weights'"),
    ("int8/tail.c", "weight->data[i] - step[i] -", "weight->data[i] + step[i] -", "the tail climbs"),
    ("int8/tail.c", "(first_step ? first_step[i] : 0)", "0", "both passes: the first one's step is dropped"),
    ("int8/tail.c", "weight->data[i] - step[i] - (first_step ? first_step[i] : 0)",
     "weight->data[i] - (first_step ? (step[i] + first_step[i]) / 2 : step[i])",
     "both passes: their steps are averaged"),
    ("int8/tail.c", "clip(weight->data[i] - step[i] - (", "clip(clip(weight->data[i] - step[i], LARGEST) - (",
     "both passes: a clip after each step"),
    ("int8/draws.c", "int64_t power = 12", "int64_t power = 13", "k from 13 * 4^k"),
    ("int8/draws.c", "LARGEST >> headroom[b]", "LARGEST >> 0", "initial weights ignore their headroom"),
    ("int8/draws.c", "LARGEST - r_limit", "LARGEST", "ZO weights are not clipped at the start"),
    ("int8/elastic_zo.c", "perturb(trainer, -2,", "perturb(trainer, -1,", "the second pass is at theta"),
    ("int8/elastic_zo.c", "(loss_plus > loss_minus) - (loss_plus < loss_minus)", "(loss_plus >= loss_minus) - "
     "(loss_plus < loss_minus)", "equal losses move theta"),
    ("int8/elastic_zo.c", "restored * z[i] - g[query]", "restored * z[i] + g[query]", "theta climbs"),
    ("int8/elastic_zo.c", "LARGEST - settings->r_limit", "LARGEST - settings->r_max",
     "an update is clipped by the epoch's r_max"),
    ("int8/elastic_zo.c", "const struct address address = {seed, PERTURB, step, (uint64_t)b, query};",
     "const struct address address = {seed, PERTURB, step, (uint64_t)b, query * 0};", "the query of z is always 0"),
    ("int8/variants.c", "last ? trainer->steps : NULL", "query == 0 ? trainer->steps : NULL",
     "the tail learns from query 0"),
    ("int8/variants.c", "last ? trainer->steps : NULL);", "trainer->steps);\n        static int16_t sum[8][1 << 17];\n"
     "        for (int32_t b = head_blocks(trainer->model, trainer->bp_tail); b < trainer->model->block_count; b++)\n"
     "            for (int32_t i = 0; i < trainer->weights[b].size; i++)\n"
     "                trainer->steps[b][i] = sum[b][i] = (query ? sum[b][i] : 0) + trainer->steps[b][i];",
     "the tail's steps are summed over the queries"),
    ("int8/variants.c", "return sum / count;", "return sum;", "logged losses are sums over the queries"),
    ("int8/variants.c", "outcome->g[0] = 0;", "outcome->g[0] = 1; restore_and_update(trainer, outcome->g, 1, 0, 0, "
     "settings);", "the frozen control moves theta"),
    ("int8/tiled.c", "wanted - already > 9 ? 9 : wanted - already", "wanted - already > 9 ? 9 : 0",
     "a tile is rounded by its own shift"),
    ("int8/tiled.c", "shift = larger(shift, trainer->shifts[tile]);", "shift = trainer->shifts[tile];",
     "the batch is rounded by its last tile's shift"),
    ("int8/tiled.c", "start + p && x[c] <= most[c] ? most[c] : x[c]", "p && x[c] <= most[c] ? most[c] : x[c]",
     "the maximum over points forgets earlier tiles"),
    ("int8/full_bp.c", "place / size - layer->pad", "place % size - layer->pad", "full BP: rows and columns of places "
     "change"),
    ("int8/full_bp.c", "gradient_shift((uint64_t)most, exponent, b_bp, scale);",
     "gradient_shift((uint64_t)most, exponent, b_bp, scale) + 1;", "full BP: a gradient keeps one bit less"),
    ("harness/run.c", "% in_epoch * config->batch_size;\n        const int32_t n = data->trains - first < "
     "config->batch_size ? data->trains - first : config->batch_size;", "% in_epoch * config->batch_size;\n"
     "        const int32_t n = config->batch_size < data->trains - first ? config->batch_size : data->trains - first "
     "> 1 ? data->trains - first - 1 : 1;", "the last batch of an epoch lacks a sample"),
    ("harness/run.c", "shuffled(config->seed, (uint64_t)epoch, data->trains", "shuffled(config->seed, (uint64_t)epoch "
     "+ 1, data->trains", "epochs are counted from 1"),
    ("harness/config.c", "(int64_t)epoch * length_of(values) / config->epochs", "(int64_t)epoch % length_of(values)",
     "schedules take turns"),
    ("harness/run.c", "data->first_test = data->trains;", "data->first_test = 0;", "the first samples are held out"),
    ("harness/run.c", "#define EVALUATION_BATCH 256", "#define EVALUATION_BATCH 128", "evaluation in batches of 128"),
    ("fp32/elastic_zo.c", "(2 * settings->eps)", "settings->eps", "FP32: g is twice the slope"),
    ("fp32/elastic_zo.c", "settings->eta * g[query] / queries", "settings->eta * g[query]",
     "FP32: steps of queries are summed"),
    ("fp32/tail.c", "(first[j] + step[j]) / 2", "first[j] + step[j]", "FP32: both passes are summed"),
    ("fp32/points.c", "MOMENTUM * (trainer->statistics[b][i] - mean->data[i])", "MOMENTUM * trainer->statistics[b][i]",
     "FP32: running statistics only grow"),
    ("fp32/draws.c", "quarters = (int32_t)(4 * v + 0.5f)", "quarters = (int32_t)(4 * v)", "FP32: angles are cut"),
]


def write_fresh(folder, data):
    """Runs made by zo_numpy, written like the committed ones, and their data."""
    for name, options in FRESH.items():
        config = make_config(dict(options, precision="int8"))
        dataset = load_data(config, offline=True, announce=lambda text: None)
        config = fitted(config, dataset)
        lines = list(made_lines(config, method_of(config), dataset))
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(describe(config, dataset)))
        for file in ("steps.txt", "evaluation.txt"):
            (folder / name / file).write_text("".join(line for of, line in lines if of == file))
        flat_data.export_data(config, dataset, data / f"{name}.flat")


def checks(data):
    """Yields (tier, the words of `port check`), what is quickest first.  data: the folder of all data."""
    yield "ops", ["ops", port.GOLDEN / "ops"]
    names = [path.name for path in (port.GOLDEN / "traces").iterdir()]
    names.sort(key=lambda name: (name.startswith("lenet5"), name))
    yield from (("traces", ["traces", port.GOLDEN / "traces", name]) for name in names)
    yield from (("runs", ["runs", port.GOLDEN / "runs", data, name]) for name in RUNS)
    yield from (("fresh", ["runs", data / "fresh", data / "flat", name]) for name in FRESH)


def first_line(built, data):
    """(tier, the line that names the bug) of the first check that differs; None if all agree."""
    for tier, words in checks(data):
        try:
            done = subprocess.run([built / "port", "check", *words], capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return tier, f"{words[-1]}: no end"
        if done.returncode:
            return tier, (done.stdout + done.stderr + f"ended with code {done.returncode}").splitlines()[0]
    return None


def finished_rows():
    """The rows of LOG that were made at this commit, by their bugs; none where the clone has changes."""
    rows = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    now = commit()
    return {row["bug"]: row for row in rows if row.pop("commit") == now and not (now or "+").endswith("+")}


def try_bug(bug, clean, folder, data):
    """The row of one bug.  clean: the folder of the objects that are right."""
    name, old, new, words = bug
    shutil.copytree(port.SOURCE, folder / "source", dirs_exist_ok=True)
    path = folder / "source" / name
    text = path.read_text()
    if old not in text:
        raise SystemExit(f"error: {name} has no {old!r}: mend the list of bugs")
    path.write_text(text.replace(old, new))
    built = folder / "built"
    shutil.copytree(clean, built, dirs_exist_ok=True)
    wrong, done = port.compile_file(path, built, FLAGS)
    if done.returncode:
        raise SystemExit(f"error: {name} with {new!r} does not compile:\n{done.stderr}")
    if wrong.name.startswith("source_"):   # a file of the top folder
        wrong.replace(built / wrong.name.replace("source_", "port_c99_"))
    subprocess.run([port.CC, *map(str, sorted(built.glob("*.o"))), "-lm", "-o", str(built / "port")], check=True)
    found = first_line(built, data)
    return {"bug": words, "file": name, "tier": found[0] if found else None, "found": found[1] if found else None}


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if not port.found_compiler():
        print(f"error: there is no {port.CC}; install a C compiler, or name one: CC=/path/to/cc", file=sys.stderr)
        return 2
    rows, finished = [], finished_rows()
    LOG.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        port.write_data(folder / "data")
        (folder / "data" / "flat").mkdir()
        write_fresh(folder / "data" / "fresh", folder / "data" / "flat")
        port.build(folder / "clean", FLAGS)
        if not finished and first_line(folder / "clean", folder / "data"):
            print("error: the port differs as it is; mend it first", file=sys.stderr)
            return 1
        for bug in BUGS[::10] if QUICK else BUGS:
            row = finished.get(bug[-1])
            if row is None:
                row = try_bug(bug, folder / "clean", folder / "bug", folder / "data")
                shutil.rmtree(folder / "bug")
                with open(LOG, "a") as log:
                    print(json.dumps({**row, "commit": commit()}), file=log)
            rows.append(row)
            say(f"{row['tier'] or 'NOTHING':8} {row['bug']} ({row['file']})")
    tiers = [row["tier"] for row in rows]
    noticed = {tier: tiers.count(tier) for tier in ("ops", "traces", "runs", "fresh")}
    result = {"bugs": len(rows), **noticed, "unnoticed": tiers.count(None), "rows": rows}
    say(f"wrote {save_result('port_bugs', result)}")
    return int(None in tiers)


if __name__ == "__main__":
    sys.exit(main())
