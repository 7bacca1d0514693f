"""What is committed under tests/golden, and how each of it is made."""
import json

from ..files import write_atomically
from ..run.config import BP, make_config
from ..run.config_json import describe, with_added
from ..run.fitting import fitted
from ..run.folder import CONFIG, STEPS
from ..run.steps import own_method
from . import MADE_BY, colours, contract, ops, runs, text, trace

# The settings are written out, so that tuning the defaults changes no vector.
SETTINGS = {
    "int8": dict(batch_size=64, seed=0, headroom=(1, 1, 0, 1, 2), r_max=(7, 3), p_zero=(128, 192), b_zo=(1,),
                 b_bp=(4, 3)),
    "fp32": dict(batch_size=64, seed=0, eps=(1e-2, 5e-3), eta=(1e-3, 5e-4), clip=(5.0,), eta_tail=(0.1, 0.05)),
}
# LeNet-5 compactly; the narrow one with every tensor of every phase in INT8, compactly in FP32: its tensors are large.
TRACES = {f"{model}-{precision}-k{k}": dict(model=model, precision=precision, bp_tail=k, data="mnist-subset",
                                            batch_size=2, epochs=1)
          for precision in ("int8", "fp32") for model in ("lenet5", "narrow-lenet") for k in range(4)}
TRACE_STEPS = 3
# The narrow PointNet as the narrow LeNet, on the synthetic solids.
SOLIDS: dict[str, dict] = {
    "int8": dict(model="narrow-pointnet", precision="int8", data="synthetic-solids", seed=1, b_bp=(3, 2),
                 headroom=(0, 0, 0, 0, 0, 1, 1, 2)),
    "fp32": dict(model="narrow-pointnet", precision="fp32", data="synthetic-solids", seed=1),
}
TRACES |= {f"narrow-pointnet-{precision}-k{k}": dict(options, bp_tail=k, points=24, batch_size=2, epochs=1)
           for precision, options in SOLIDS.items() for k in range(4)}
TRACES["narrow-lenet-int8-k2-running"] = dict(TRACES["narrow-lenet-int8-k2"], tail_scale="running")
# A network fitted to pictures in colour, with a rest at both pools.
TRACES["narrow-lenet-int8-k2-colours"] = dict(TRACES["narrow-lenet-int8-k2"], data=colours.NAME)
# What a step may do besides, of the smallest network, compactly and two steps long.
VARIANTS = {f"narrow-pointnet-int8-{kind}": dict(SOLIDS["int8"], points=6, batch_size=2, epochs=1, **options)
            for kind, options in {
               "k1-queries2": dict(bp_tail=1, queries=2), "k2-frozen": dict(bp_tail=2, zo_frozen=True),
               "k3-both": dict(bp_tail=3, tail_passes="both"),
               "k2-queries2-both": dict(bp_tail=2, queries=2, tail_passes="both")}.items()}
# And full backpropagation, in both networks; experiments/ makes its steps.
VARIANTS |= {f"narrow-{kind}-int8-full-bp": dict(options, bp_tail=BP) for kind, options in (
    ("lenet", TRACES["narrow-lenet-int8-k0"]), ("pointnet", dict(SOLIDS["int8"], points=6, batch_size=2, epochs=1)))}
TRACES |= VARIANTS
SOLIDS_RUN = dict(points=64, epochs=4, batch_size=12, limit=328)
FULL = dict(r_max=(3, 7, 7, 1), p_zero=(64, 200), b_zo=(2, 1, 1, 1), b_bp=(3, 2, 1))
# Two epochs of half the subset, for the schedules and the last partial batch; one epoch of all of MNIST; short runs
# that each differ in one thing more: the loss, the queries, or an R that the only epoch's r_max does not reach.
SUBSET_RUN: dict = dict(data="mnist-subset", epochs=2, validate=5000)
SHORT_RUN: dict = dict(data="mnist-subset", epochs=1, batch_size=32, limit=4000, validate=1000)
FP32_RUN: dict = dict(precision="fp32", data="mnist-subset", epochs=2, batch_size=32, limit=1000, validate=1000)
# The same network and schedules of several entries: what a run without a data set can show of the variants.
VARIANT_RUNS = {f"solids-int8-{kind}": {**SOLIDS["int8"], **SOLIDS_RUN, **FULL, "validate": 200, **options}
                for kind, options in {
                    "k1-queries3": dict(bp_tail=1, queries=3), "k2-frozen": dict(bp_tail=2, zo_frozen=True),
                    "k3-queries2-both": dict(bp_tail=3, queries=2, tail_passes="both", b_bp=(2, 1))}.items()}
ALONE = tuple(VARIANT_RUNS)   # the runs whose evaluation.txt ends with what is right one sample at a time
RUNS: dict[str, dict] = {
    **{f"subset-int8-k{k}": dict(SUBSET_RUN, bp_tail=k) for k in range(4)},
    "subset-int8-k1-both": dict(SUBSET_RUN, bp_tail=1, tail_passes="both"),
    "subset-int8-k2-frozen": dict(SUBSET_RUN, bp_tail=2, zo_frozen=True),
    "subset-int8-k0-queries3": dict(SHORT_RUN, bp_tail=0, queries=3),
    "subset-int8-k1-coarse": dict(SHORT_RUN, bp_tail=1, loss="coarse"),
    "subset-int8-k2-limit": dict(SHORT_RUN, bp_tail=2, r_max=(3, 7), seed=2**63 + 1),
    **{f"solids-int8-k{k}": dict(SOLIDS["int8"], **SOLIDS_RUN, validate=200, bp_tail=k) for k in (0, 3)},
    **VARIANT_RUNS,
    "solids-int8-full-bp": dict(SOLIDS["int8"], **SOLIDS_RUN, validate=200, bp_tail=BP),
    "subset-int8-full-bp": dict(SHORT_RUN, bp_tail=BP, batch_size=24, limit=1000),
    **{f"mnist-int8-k{k}": dict(data="mnist", bp_tail=k, epochs=1) for k in (0, 2)},
    **{f"subset-fp32-k{k}": dict(FP32_RUN, bp_tail=k) for k in range(4)},
    "subset-fp32-k0-queries3": dict(FP32_RUN, bp_tail=0, queries=3),
    "subset-fp32-k1-both": dict(FP32_RUN, bp_tail=1, tail_passes="both"),
    "subset-fp32-k2-frozen": dict(FP32_RUN, bp_tail=2, zo_frozen=True),
    **{f"solids-fp32-k{k}": dict(SOLIDS["fp32"], **SOLIDS_RUN, validate=600, bp_tail=k) for k in (0, 3)},
    # Of the running scale: one sample a step, with bits down to -2; both passes, and a last batch that is smaller.
    "subset-int8-k3-running": dict(SUBSET_RUN, bp_tail=3, tail_scale="running", batch_size=1, limit=400,
                                   b_bp=(3, 1, 0, -2)),
    "subset-int8-k2-running-both": dict(SHORT_RUN, bp_tail=2, tail_scale="running", tail_passes="both", batch_size=24,
                                        limit=1000, b_bp=(2,)),
}

# Decoded clouds, so that runs on them can be made anywhere.
DATA = {"solids": {**SOLIDS["int8"], **SOLIDS_RUN, "validate": 200, "bp_tail": 0}}
# What stands there as flat text too: all ops, and the smallest trace of a LeNet that has every tensor.
TEXT_TRACES = ("narrow-lenet-int8-k2-colours",)


def config_of(options):
    """The Config of a committed trace or run."""
    return make_config(with_added({**SETTINGS[options.get("precision", "int8")], **options}))


def run_config(name, dataset):
    """The bytes of a committed run's config.json; where the full data set was found is not part of it."""
    source = "the four official files" if dataset.complete else dataset.source
    config = fitted(config_of(RUNS[name]), dataset)
    description = {**describe(config, dataset if config.points else dataset._replace(source=source)),
                   "zo_numpy": MADE_BY}
    return (json.dumps(description, indent=2) + "\n").encode()


def make_trace(name, load, folder, method_of=own_method):
    """Writes the committed trace of that name into a new folder.  method_of: as of check.check."""
    config = config_of(TRACES[name])
    dataset = colours.odd_colours() if config.data == colours.NAME else load(config)
    compact = config.model == "lenet5" or config.precision == "fp32" or name in VARIANTS
    folder.mkdir(parents=True)
    return trace.export_trace(fitted(config, dataset), dataset, folder, 2 if name in VARIANTS else TRACE_STEPS, compact,
                              method_of(config))


def make_run(name, config, dataset, folder, method_of=own_method):
    """Writes the committed run of that name into a new folder."""
    folder.mkdir(parents=True)
    write_atomically(folder / CONFIG, run_config(name, dataset))
    content = {STEPS: [], runs.EVALUATION: []}
    for file, line in runs.made_lines(config, method_of(config), dataset, name in ALONE):
        content[file].append(line)
    for file, lines in content.items():
        write_atomically(folder / file, "".join(lines).encode())


def made_beside(load):
    """{path below tests/golden: content} of the files beside the vectors, made from the code."""
    configs = {part: {name: config_of(options) for name, options in of_part.items()}
               for part, of_part in (("traces", TRACES), ("runs", RUNS))}
    return contract.made_files(configs, {name: config_of(options) for name, options in DATA.items()}, load)


def made_as_text(golden):
    """{path below tests/golden: content} of what is committed as flat text too, made from the vectors in `golden`."""
    lines = {f"ops/{name}": text.case_lines(golden / "ops" / f"{name}.json") for name in ops.OPS}
    lines |= {f"traces/{name}": text.trace_lines(golden / "traces" / name) for name in TRACES if name in TEXT_TRACES}
    return {f"text/{name}.txt": "".join(f"{line}\n" for line in of_one).encode("ascii")
            for name, of_one in lines.items()}
