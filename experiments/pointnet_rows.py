"""The rows of experiments/pointnet.py, table by table, and which of them are to run."""
import functools

from experiments.cloud_candidates import CANDIDATES, SPLIT, of_modelnet10
from experiments.rows import seeded
from zo_numpy.run.config import make_config

CHANGES = {"tilt": {"tilt": 20}, "jitter": {"jitter": 40}}  # of the shapes that a trained network is adapted to
ADAPTED_ON = 1024                                           # training shapes that fine-tuning sees


def full_rows(seeds):
    """Every K in both precisions, the frozen controls, and full BP.  {name: options}."""
    rows = {}
    for seed in range(seeds):
        for precision in ("fp32", "int8"):
            for k in (0, 1, 2, 3, "all"):
                options = dict(precision=precision, bp_tail=k, seed=seed)
                rows[seeded(f"{precision}-k{k}", seed)] = options
                if k not in (0, "all"):
                    rows[seeded(f"{precision}-k{k}-frozen", seed)] = {**options, "zo_frozen": True}
    return rows


def earlier_rows(seeds):
    """ModelNet40 with the z (INT8) and the eta (FP32) of ModelNet10: its defaults until it had candidates of these."""
    return {name: {**options, **of_modelnet10("modelnet40", options["precision"], options["bp_tail"])}
            for name, options in full_rows(seeds).items() if options["bp_tail"] in (0, 1, 2) and "frozen" not in name}


def equal_rows(seeds):
    """INT8 as long as FP32: the same samples seen."""
    return {name.replace("fp32", "int8"): {**options, "precision": "int8", "epochs": make_config(
        dict(options, model="pointnet", data="modelnet10")).epochs}
        for name, options in full_rows(seeds).items() if name.startswith("fp32") and "frozen" not in name}


def candidate_rows(seeds):
    """Schedules to choose from, on a part of the training clouds and a validation split of them."""
    return {name: {**SPLIT, **options} for name, options in CANDIDATES.items()}


def adapted_rows(change, seeds):
    """Networks trained by full BP on upright shapes, then adapted; `source` is the row that one starts from, the same
    for all seeds.
    """
    rows = {}
    for precision in ("fp32", "int8"):
        source = f"{precision}-upright"
        rows[source] = dict(precision=precision, bp_tail="all")
        rows[f"{precision}-as-it-is"] = dict(precision=precision, bp_tail="all", source=source, untrained=True,
                                             **change)
        for seed in range(seeds):
            for name, more in (("k0", dict(bp_tail=0)), ("k2", dict(bp_tail=2)),
                               ("k2-frozen", dict(bp_tail=2, zo_frozen=True)), ("kall", dict(bp_tail="all"))):
                rows[seeded(f"{precision}-{name}", seed)] = dict(precision=precision, seed=seed, source=source,
                                                                 limit=ADAPTED_ON, **more, **change)
    return rows


TABLES = {"full": full_rows, "earlier": earlier_rows, "equal": equal_rows, "tuning": candidate_rows,
          **{name: functools.partial(adapted_rows, change) for name, change in CHANGES.items()}}
PLANNED = {   # {(table, data, points): the names of the rows that are to run, of seeds 0 to 2}; others: all at seed 0
    ("full", "modelnet10", 256): ".*", ("equal", "modelnet10", 256): ".*",
    ("full", "modelnet40", 256): r".*-k(0|2|2-frozen|all)(-seed\d)?|.*-k[13](-frozen)?",
    ("full", "modelnet40", 1024): "fp32-k(2|2-frozen|all)",
    ("earlier", "modelnet40", 256): r"int8-k[02](-seed\d)?|fp32-k1|fp32-k2(-seed\d)?",
    ("tilt", "modelnet10", 256): ".*", ("jitter", "modelnet10", 256): ".*",
}
