"""The rows of every table of accuracies: each is one training run, the options of one `train`.

    mnist-int8, mnist-fp32, fashion-mnist-int8, fashion-mnist-fp32
                  full training with the defaults: K = 0..3, full BP, and the frozen control of K = 1..3
    longer, longer-fp32
                  MNIST, K = 0..2 and the controls, with more epochs and in INT8 larger batches than the defaults have
    running-scale MNIST in INT8 with --tail-scale running, K = 1..3, the controls and full BP, as tuned for it
    float-loss    MNIST in INT8 with float64 deciding the sign of g, K = 0..3
    tail-passes   ten epochs of 10,000 images of MNIST, the tail's gradient from both passes and the second, K = 1, 2
    equal-samples K = 0 as long as K = 1 to 3, and INT8 as long as FP32, where the defaults are not
    fine-tuning   a network trained upright by full BP, adapted to 1,024 rotated images: not at all, K = 0..2, the
                  frozen controls, all

Whatever a row does not say is a default of zo_numpy/run/defaults.py at the time it is run. Quick rows (common.py) are
two epochs of a few training images, whatever the default says.
"""
import json
import pathlib
from typing import NamedTuple

from experiments.common import QUICK
from zo_numpy.run.checkpoint import CONFIG
from zo_numpy.run.config import BP, make_config
from zo_numpy.run.config_json import BESIDE_CONFIG, as_json as config_as_json

RUNS = pathlib.Path("runs/quick" if QUICK else "runs/experiments")
SEEDS = {"float-loss": 1}    # of each row; of other tables 3
FINDINGS, MORE = ("mnist-int8", "mnist-fp32"), 5   # tables on whose K = 0, 1 and 2 a finding of the README rests: so many
PRECISIONS, DATA_SETS, DEGREES = ("int8", "fp32"), ("mnist", "fashion-mnist"), (45,) if QUICK else (30, 45)
QUICK_IMAGES, QUICK_EPOCHS = 1000, 2
ADAPTED_TO = 1024            # rotated training images, and as many of the test images are reported on beside all
METHODS = {                  # of fine-tuning; None: the weights as they are
    "none": None, "k1-frozen": dict(bp_tail=1, zo_frozen=True), "frozen": dict(bp_tail=2, zo_frozen=True),
    "k0": dict(bp_tail=0), "k1": dict(bp_tail=1), "k2": dict(bp_tail=2), "all": dict(bp_tail=BP)}
CONTROLS = {"k1": "k1-frozen", "k2": "frozen"}   # {method: its frozen control}


# Tuned beyond the defaults on the same validation split (tuning_int8.json): what more steps and less noise in g bring.
LONGER: dict[int, dict] = {
    0: dict(epochs=300, batch_size=256, p_zero=(128, 192, 224, 240, 248, 252)),
    1: dict(epochs=150, batch_size=256),
    2: dict(epochs=100, batch_size=128),
}
# As many samples as LONGER has, but for K = 0; otherwise the defaults, not tuned for so many.
LONGER_FP32: dict[int, dict] = {0: dict(epochs=200), 1: dict(epochs=150), 2: dict(epochs=100)}


class Row(NamedTuple):
    """One run of a table."""
    table: str
    name: str
    options: dict             # {option: value} of `train`
    source: object = None     # the Row it starts from
    trained: bool = True      # false: the source as it is, on the data of `options`

    @property
    def config(self):
        start = {"init_from": str(self.source.folder)} if self.source else {}
        return make_config({**self.options, **start})

    @property
    def folder(self):
        return RUNS / self.table / self.name


def seeded(name, seed):
    return f"{name}-seed{seed}" if seed else name


def stem_of(k):
    """Of a row's name: k0 .. k3, or all."""
    return k if k == BP else f"k{k}"


def full_training(table, data, precision, seeds, changes=None):
    """Every K with the defaults, and the frozen controls.  changes: {K: what is otherwise}, of these K alone."""
    for seed in range(MORE if table in FINDINGS and seeds == 3 else seeds):
        for k, more in (changes or dict.fromkeys((0, 1, 2, 3, BP), {})).items():
            if seed >= seeds and k not in (0, 1, 2):
                continue
            options = dict(data=data, precision=precision, bp_tail=k, seed=seed, **more)
            name = seeded(stem_of(k), seed)
            yield Row(table, name, options)
            if k in (1, 2, 3):
                yield Row(table, f"{name}-frozen", {**options, "zo_frozen": True})


# With the running scale: the defaults' epochs, smaller batches (tuning_batch_size.json).
RUNNING: dict[int | str, dict] = {k: dict(tail_scale="running", batch_size=batch, b_bp=b_bp) for k, batch, b_bp in (
    (2, 32, (6, 5, 4, 3, 2, 1)), (3, 64, (5, 4, 3, 2, 1, 0)), (BP, 32, (6, 5, 4, 3, 2, 1)))}


def running_scale(table, seeds):
    return full_training(table, "mnist", "int8", seeds, RUNNING)


def longer(table, seeds):
    return full_training(table, "mnist", "int8", seeds, LONGER)


def longer_fp32(table, seeds):
    return full_training(table, "mnist", "fp32", seeds, LONGER_FP32)


def other_lengths(data, precision, k):
    """The epochs of the rows that one stands beside, where they are not its own: of K = 0 those of longer tails, of
    INT8 those of FP32.
    """
    beside = [(precision, tail) for tail in (1, 2, 3) if k == 0] + [("fp32", k)]
    own, *others = (make_config(dict(data=data, precision=name, bp_tail=tail)).epochs
                    for name, tail in [(precision, k), *beside])
    return sorted(set(others) - {own})


def equal_samples(table, seeds):
    for seed in range(seeds):
        for data in DATA_SETS:
            for precision in PRECISIONS:
                for k in (0, 1, 2, 3, BP):
                    for epochs in other_lengths(data, precision, k):
                        yield Row(table, seeded(f"{data}-{precision}-{stem_of(k)}-{epochs}", seed),
                                  dict(data=data, precision=precision, bp_tail=k, epochs=epochs, seed=seed))


def float_loss(table, seeds):
    for seed in range(seeds):
        for k in range(4):
            yield Row(table, seeded(f"k{k}", seed), dict(data="mnist", bp_tail=k, loss="float", seed=seed))


def tail_passes(table, seeds):
    for seed in range(seeds):
        for precision in PRECISIONS:
            for k in (1, 2):
                for passes in ("second", "both"):
                    yield Row(table, seeded(f"{precision}-k{k}-{passes}", seed),
                              dict(data="mnist", precision=precision, bp_tail=k, limit=10_000, epochs=10,
                                   tail_passes=passes, seed=seed))


def upright(data, precision):
    """The row whose network is adapted: full BP at seed 0."""
    return next(row for row in full_training(f"{data}-{precision}", data, precision, 1) if row.name == BP)


def fine_tuning(table, seeds):
    for seed in range(seeds):
        for data in DATA_SETS:
            for precision in PRECISIONS:
                for degrees in DEGREES:
                    common = dict(data=data, precision=precision, rotate=degrees, limit=ADAPTED_TO, seed=seed)
                    for method, options in METHODS.items():
                        if options or seed == 0:      # what is not trained has no seed
                            yield Row(table, seeded(f"{data}-{precision}-{degrees}-{method}", seed),
                                      {**common, **(options or {})}, upright(data, precision), options is not None)


TABLES = {
    **{f"{data}-{precision}": (lambda table, seeds, data=data, precision=precision:   # type: ignore[misc]
                               full_training(table, data, precision, seeds))
       for data in DATA_SETS for precision in PRECISIONS},
    "longer": longer, "longer-fp32": longer_fp32, "running-scale": running_scale, "float-loss": float_loss,
    "tail-passes": tail_passes,
    "equal-samples": equal_samples, "fine-tuning": fine_tuning,
}


def seeds_of(table):
    """How many seeds a table is meant to have."""
    return 1 if QUICK else SEEDS.get(table, 3)


def quick(row):
    """The row, and what it starts from, on few images for few epochs."""
    if not isinstance(row, Row):
        return row
    less = {"limit": min(row.options.get("limit", QUICK_IMAGES), QUICK_IMAGES), "epochs": QUICK_EPOCHS}
    return row._replace(options={**row.options, **less}, source=quick(row.source))


def rows_of(table, seeds=None):
    """The rows of a table.  seeds: how many of each, from 0; None for what the table is meant to have."""
    made = TABLES[table](table, seeds or seeds_of(table))
    return [quick(row) for row in made] if QUICK else list(made)


def as_json(config):
    return json.loads(json.dumps(config_as_json(config)))


def is_current(row, config):
    """Whether a config.json, or the one in a result, is what the row asks for today."""
    return is_of(row.config, config)


def is_of(config, found):
    """Whether a config.json is that of a Config; the classes, where it leaves them to the data, may be any."""
    wanted = as_json(config)
    beside = (*BESIDE_CONFIG, *(["classes"] if not wanted.get("classes") else []))
    found, wanted = ({name: value for name, value in one.items() if name not in beside} for one in (found, wanted))
    return found == wanted


def make_room(folder, config):
    """Renames a run of a row that meant something else, before the defaults changed."""
    path = folder / CONFIG
    if path.exists() and not is_of(config, json.loads(path.read_text())):
        number = next(n for n in range(1, 1000) if not folder.with_name(f"{folder.name}.old{n}").exists())
        folder.rename(folder.with_name(f"{folder.name}.old{number}"))
