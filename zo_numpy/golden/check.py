"""Recomputes everything committed under tests/golden and compares it; and makes it anew.

INT8 is compared byte for byte, FP32 within the tolerances of tolerances.py.
"""
import json
import pathlib
import shutil
import tempfile

from ..errors import UserError
from ..files import write_atomically
from ..run.config import BP, describe, make_config, read_config, with_added
from ..run.fitting import fitted
from ..run.folder import CONFIG, STEPS, read_description
from ..run.steps import own_method
from . import FORMAT_VERSION, MADE_BY, colours, contract, diff, ops, runs, trace
from .tolerances import SUMMARY, Tolerances

# What is committed. The settings are written out, so that tuning the defaults changes no vector.
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
PARTS = ("ops", "traces", "runs", "contract", "data")
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
    """Writes the committed trace of that name into a new folder.  method_of: as of `check`."""
    config = config_of(TRACES[name])
    dataset = colours.odd_colours() if config.data == colours.NAME else load(config)
    compact = config.model == "lenet5" or config.precision == "fp32" or name in VARIANTS
    folder.mkdir(parents=True)
    return trace.export_trace(fitted(config, dataset), dataset, folder, 2 if name in VARIANTS else TRACE_STEPS, compact,
                              method_of(config))


def check_ops(folder):
    """(numbers compared, sentences on what differs) of all op vectors."""
    mismatches, compared = ops.check_ops(folder)
    differences = [str(mismatch) for mismatch in mismatches]
    if not differences:
        differences = [f"{name}.json is not, byte for byte, what this version writes" for name in ops.OPS
                       if (folder / f"{name}.json").read_bytes() != ops.written_again(folder / f"{name}.json")]
    return compared, differences


def _check_trace(name, golden, load, method_of, scratch):
    """(records compared, sentences on what differs) of one committed trace."""
    committed, again = golden / "traces" / name, scratch / name
    make_trace(name, load, again, method_of)
    return differences_of(committed, again)


def differences_of(committed, again):
    """(records compared, sentences on what differs) of a committed trace and the same made again."""
    found = diff.compare(committed, again)
    differences = [str(finding) for finding in found.findings] + [f"{file} is not committed" for file in found.extra]
    if found.skipped:
        differences.append(f"{found.skipped} records cannot be compared")
    if not differences and found.tolerances:
        if _exact_part(committed) != _exact_part(again):
            differences = [f"{diff.MANIFEST} is not, but for float numbers, what this version writes"]
    elif not differences:
        differences = [f"{file.name} is not, byte for byte, what this version writes"
                       for file in sorted(again.iterdir())
                       if (committed / file.name).read_bytes() != file.read_bytes()]
    unlisted = {path.name for path in committed.iterdir()} - {path.name for path in again.iterdir()}
    return found.compared, differences + [f"{file} is committed but belongs to no record" for file in sorted(unlisted)]


def _exact_part(folder):
    """The manifest of an FP32 trace without all that rests on last bits."""
    manifest = diff.read_manifest(folder)
    for record in manifest["records"]:
        if record.get("dtype", "float32").startswith("float"):
            for name in ("value", "sha256", *SUMMARY):
                record.pop(name, None)
    return manifest


def check_run(name, golden, load, method_of=own_method):
    """(lines compared, sentences on what differs, why it was skipped or None) of one committed run."""
    path = golden / "runs" / name
    config, recorded = read_config(path), read_description(path)["dataset"]
    dataset = load(config)
    if dataset.digest != recorded["digest"]:
        return 0, [], f"its data are not here ({config.data}); fetch them with `make data`"
    compared, difference = runs.first_difference(path, config, method_of(config), dataset, name in ALONE)
    differences = [difference] if difference else []
    if (path / CONFIG).read_bytes() != run_config(name, dataset):
        differences.append(f"{CONFIG} is not, byte for byte, what this version writes")
    unlisted = {file.name for file in path.iterdir()} - {CONFIG, STEPS, runs.EVALUATION}
    return compared, differences + [f"{file} is committed but no part of a run" for file in sorted(unlisted)], None


def _beside(load):
    """{path below tests/golden: content} of the files beside the vectors, made from the code."""
    configs = {part: {name: config_of(options) for name, options in of_part.items()}
               for part, of_part in (("traces", TRACES), ("runs", RUNS))}
    return contract.made_files(configs, {name: config_of(options) for name, options in DATA.items()}, load)


def check(golden, load, say, method_of=own_method):
    """Recomputes all vectors under `golden`.  Returns how many differences there are.

    load: maps a Config to its Dataset.  say: called with each line of the report.  method_of: maps a Config to the
    steps.Method of its steps; those of full BP are no part of this package.
    Raises UserError if there is nothing to compare.
    """
    _check_folder(golden)
    differing = compared = 0
    for title, unit, (count, differences, skipped) in _all_checks(golden, load, method_of):
        differing, compared = differing + len(differences), compared + count
        state = "equal" if not differences else "DIFFERS"
        say(f"{title}: " + (f"SKIPPED, {skipped}" if skipped else f"{state}, {count:,} {unit}"))
        for line in differences[:20]:
            say(f"    {line}")
    if not compared:
        raise UserError(f"nothing was compared in {golden}; restore it from the repository")
    say(f"{compared:,} comparisons, {differing or 'no'} difference{'' if differing == 1 else 's'}")
    return differing


def _check_folder(golden):
    """Refuses a folder of vectors that is not there: it is not installed."""
    if not golden.is_dir():
        raise UserError(f"{golden} does not exist; run this from a clone of the project")


def _all_checks(golden, load, method_of):
    """Yields (title, unit, (compared, differences, why skipped or None)) of everything committed."""
    for part, names in (("traces", TRACES), ("runs", RUNS)):
        unknown = sorted({path.name for path in (golden / part).glob("*")} - set(names))
        if unknown:
            raise UserError(f"{golden / part / unknown[0]} is none of the committed {part}; remove it, or update the "
                            "program")
    yield f"{len(ops.OPS)} ops", "numbers", (*check_ops(golden / "ops"), None)
    with tempfile.TemporaryDirectory() as scratch:
        for name in TRACES:
            yield f"trace {name}", "records", (*_check_trace(name, golden, load, method_of, pathlib.Path(scratch)), None)
    for name in RUNS:
        yield f"run {name}", "lines", check_run(name, golden, load, method_of)
    yield "contract and data", "files", (*contract.check_files(golden, _beside(load)), None)


def update(golden, load, say, flags_of, method_of=own_method):
    """Makes all vectors anew: into a new folder first, which then takes the old one's place part by part.

    load, say, method_of: as in `check`.  flags_of: as in ops.vectors.
    Kept as they are, and said so: a run whose data are not here, and FP32 vectors that agree within their tolerances,
    which another machine would write with other last bits.
    Raises UserError, with nothing changed, if what is frozen would change.
    """
    _check_folder(golden)
    with tempfile.TemporaryDirectory(dir=golden.parent) as scratch:
        new = pathlib.Path(scratch)
        ops.write_ops(new / "ops", flags_of)
        for name in TRACES:
            make_trace(name, load, new / "traces" / name, method_of)
            say(f"{_keep_if_near(golden, new, f'traces/{name}', _agreeing_traces)} trace {name}")
        for name, options in RUNS.items():
            config = config_of(options)
            dataset = load(config)
            config = fitted(config, dataset)
            folder = new / "runs" / name
            if dataset.name != config.data or not dataset.complete and config.data == "mnist":
                shutil.copytree(golden / "runs" / name, folder)
                say(f"kept run {name}: its data are not here")
                continue
            make_run(name, config, dataset, folder, method_of)
            say(f"{_keep_if_near(golden, new, f'runs/{name}', _agreeing_runs)} run {name}")
        for name, content in _beside(load).items():
            (new / name).parent.mkdir(exist_ok=True)
            write_atomically(new / name, content)
        _refuse_frozen(golden, new)
        for part in PARTS:
            shutil.rmtree(golden / part, ignore_errors=True)
            if (new / part).exists():
                (new / part).rename(golden / part)
    say(f"format_version {FORMAT_VERSION}")


def make_run(name, config, dataset, folder, method_of=own_method):
    """Writes the committed run of that name into a new folder."""
    folder.mkdir(parents=True)
    write_atomically(folder / CONFIG, run_config(name, dataset))
    content = {STEPS: [], runs.EVALUATION: []}
    for file, line in runs.made_lines(config, method_of(config), dataset, name in ALONE):
        content[file].append(line)
    for file, lines in content.items():
        write_atomically(folder / file, "".join(lines).encode())


def _keep_if_near(golden, new, name, agree):
    """Puts the committed FP32 vectors in place of new ones, if agree(committed, again).  Returns what it did."""
    committed, again = golden / name, new / name
    if "-fp32-" not in name or not committed.is_dir() or not agree(committed, again):
        return "made"
    shutil.rmtree(again)
    shutil.copytree(committed, again)
    return "kept, as within its tolerances,"


def _agreeing_traces(committed, again):
    try:
        return not differences_of(committed, again)[1]
    except UserError:   # damaged, or of another format_version
        return False


def _agreeing_runs(committed, again):
    if not all((committed / file).exists() for file in (CONFIG, STEPS, runs.EVALUATION)) or \
            (committed / CONFIG).read_bytes() != (again / CONFIG).read_bytes():
        return False
    tolerances = Tolerances(read_config(again).schedules)
    pairs = [(runs.committed_lines(committed / file), runs.committed_lines(again / file))
             for file in (STEPS, runs.EVALUATION)]
    return all(len(old) == len(made) and all(map(tolerances.line, old, made)) for old, made in pairs)


def _refuse_frozen(golden, new):
    """Raises UserError if files of a frozen format_version would change or go; others may be added to it.

    The folder contract lists what there is, new vectors among it: it may grow.
    """
    versions = {json.loads(path.read_bytes()).get("format_version") for path in (golden / "ops").glob("*.json")}
    frozen = [path for part in PARTS if part != "contract" for path in sorted((golden / part).rglob("*"))]
    changed = [path for path in frozen if path.is_file() and not
               ((again := new / path.relative_to(golden)).exists() and again.read_bytes() == path.read_bytes())]
    if FORMAT_VERSION in versions and changed:
        raise UserError(f"{len(changed)} committed files would change, first {changed[0]}, and format_version "
                        f"{FORMAT_VERSION} is frozen: raise FORMAT_VERSION in zo_numpy/golden/__init__.py, and say in "
                        f"{golden / 'README.md'} what changed")
