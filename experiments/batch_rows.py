"""The rows of experiments/batch_size.py: every method at every batch, which come first, and which have a result."""
import hashlib
import json

from experiments.common import QUICK, read_result
from experiments.rows import BP, DATA_SETS, Row, as_json
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
