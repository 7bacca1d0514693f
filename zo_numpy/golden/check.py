"""Recomputes everything committed under tests/golden and compares it byte for byte; and makes it anew."""
import json
import pathlib
import shutil
import tempfile

from ..config import describe, make_config, read_config, with_classes
from ..errors import UserError
from ..files import write_atomically
from ..run_folder import CONFIG, STEPS, read_description
from . import diff, ops, runs, trace

# What is committed. The settings are written out, so that tuning the defaults changes no vector.
SETTINGS = dict(precision="int8", batch_size=64, seed=0, headroom=(1, 1, 0, 1, 2), r_max=(7, 3), p_zero=(128, 192),
                b_zo=(1,), b_bp=(4, 3))
# LeNet-5 compactly, the narrow one with every tensor of every phase.
TRACES = {f"{model}-int8-k{k}": dict(model=model, bp_tail=k, data="mnist-subset", batch_size=2, epochs=1)
          for model in ("lenet5", "narrow-lenet") for k in range(4)}
COMPACT, TRACE_STEPS = ("lenet5",), 3
# The narrow PointNet likewise, on the synthetic solids.
SOLIDS = dict(model="narrow-pointnet", data="synthetic-solids", seed=1, b_bp=(3, 2),
              headroom=(0, 0, 0, 0, 0, 1, 1, 2))
TRACES |= {f"narrow-pointnet-int8-k{k}": dict(SOLIDS, bp_tail=k, points=24, batch_size=2, epochs=1) for k in range(4)}
# Two epochs of half the subset, for the schedules and the last partial batch; one epoch of all of MNIST; short runs
# that each differ in one thing more: the loss, the queries, or an R that the only epoch's r_max does not reach.
SUBSET_RUN = dict(data="mnist-subset", epochs=2, validate=5000)
SHORT_RUN = dict(data="mnist-subset", epochs=1, batch_size=32, limit=4000, validate=1000)
RUNS = {
    **{f"subset-int8-k{k}": dict(SUBSET_RUN, bp_tail=k) for k in range(4)},
    "subset-int8-k1-both": dict(SUBSET_RUN, bp_tail=1, tail_passes="both"),
    "subset-int8-k2-frozen": dict(SUBSET_RUN, bp_tail=2, zo_frozen=True),
    "subset-int8-k0-queries3": dict(SHORT_RUN, bp_tail=0, queries=3),
    "subset-int8-k1-coarse": dict(SHORT_RUN, bp_tail=1, loss="coarse"),
    "subset-int8-k2-limit": dict(SHORT_RUN, bp_tail=2, r_max=(3, 7), seed=2**63 + 1),
    **{f"solids-int8-k{k}": dict(SOLIDS, bp_tail=k, points=64, epochs=4, batch_size=16, limit=328, validate=200)
       for k in (0, 3)},
    **{f"mnist-int8-k{k}": dict(data="mnist", bp_tail=k, epochs=1) for k in (0, 2)},
}


def run_config(name, dataset):
    """The bytes of a committed run's config.json; where the full data set was found is not part of it."""
    source = "the four official files" if dataset.complete else dataset.source
    config = with_classes(make_config({**SETTINGS, **RUNS[name]}), dataset)
    description = describe(config, dataset if config.points else dataset._replace(source=source))
    return (json.dumps(description, indent=2) + "\n").encode()


def data_of(config, load):
    """The Dataset of a configuration."""
    return load(config.data, config.points) if config.points else load(config.data)


def make_trace(name, load, folder):
    """Writes the committed trace of that name into a new folder."""
    config = make_config({**SETTINGS, **TRACES[name]})
    dataset = data_of(config, load)
    folder.mkdir(parents=True)
    return trace.export_trace(with_classes(config, dataset), dataset, folder, TRACE_STEPS, config.model in COMPACT)


def check_ops(folder):
    """(numbers compared, sentences on what differs) of all op vectors."""
    mismatches, compared = ops.check_ops(folder)
    differences = [str(mismatch) for mismatch in mismatches]
    if not differences:
        differences = [f"{name}.json is not, byte for byte, what this version writes" for name in ops.OPS
                       if (folder / f"{name}.json").read_bytes() != ops.to_bytes(ops.vectors(name))]
    return compared, differences


def check_trace(name, golden, load, scratch):
    """(records compared, sentences on what differs) of one committed trace."""
    committed, again = golden / "traces" / name, scratch / name
    make_trace(name, load, again)
    found = diff.compare(committed, again)
    differences = [str(finding) for finding in found.findings] + [f"{file} is not committed" for file in found.extra]
    if not differences:
        differences = [f"{file.name} is not, byte for byte, what this version writes"
                       for file in sorted(again.iterdir())
                       if (committed / file.name).read_bytes() != file.read_bytes()]
    unlisted = {path.name for path in committed.iterdir()} - {path.name for path in again.iterdir()}
    return found.compared, differences + [f"{file} is committed but belongs to no record" for file in sorted(unlisted)]


def check_run(name, golden, load):
    """(lines compared, sentences on what differs, why it was skipped or None) of one committed run."""
    path = golden / "runs" / name
    config, recorded = read_config(path), read_description(path)["dataset"]
    dataset = data_of(config, load)
    if dataset.digest != recorded["digest"]:
        return 0, [], f"its data are not here ({config.data}); fetch them with `make data`"
    compared, difference = runs.first_difference(path, config, dataset)
    differences = [difference] if difference else []
    if (path / CONFIG).read_bytes() != run_config(name, dataset):
        differences.append(f"{CONFIG} is not, byte for byte, what this version writes")
    unlisted = {file.name for file in path.iterdir()} - {CONFIG, STEPS, runs.EVALUATION}
    return compared, differences + [f"{file} is committed but no part of a run" for file in sorted(unlisted)], None


def check(golden, load, say):
    """Recomputes all vectors under `golden`.  Returns how many differences there are.

    load: maps a data set's name, and for clouds their points, to a Dataset.  say: called with each line of the report.
    Raises UserError if there is nothing to compare.
    """
    if not golden.is_dir():
        raise UserError(f"{golden} does not exist; run this from a clone of the project")
    differing = compared = 0
    for title, unit, (count, differences, skipped) in all_checks(golden, load):
        differing, compared = differing + len(differences), compared + count
        state = "equal" if not differences else "DIFFERS"
        say(f"{title}: " + (f"SKIPPED, {skipped}" if skipped else f"{state}, {count:,} {unit}"))
        for line in differences[:20]:
            say(f"    {line}")
    if not compared:
        raise UserError(f"nothing was compared in {golden}; restore it from the repository")
    say(f"{compared:,} comparisons, {differing or 'no'} difference{'' if differing == 1 else 's'}")
    return differing


def all_checks(golden, load):
    """Yields (title, unit, (compared, differences, why skipped or None)) of everything committed."""
    for part, names in (("traces", TRACES), ("runs", RUNS)):
        unknown = sorted({path.name for path in (golden / part).glob("*")} - set(names))
        if unknown:
            raise UserError(f"{golden / part / unknown[0]} is none of the committed {part}; remove it, or update the "
                            "program")
    yield f"{len(ops.OPS)} ops", "numbers", (*check_ops(golden / "ops"), None)
    with tempfile.TemporaryDirectory() as scratch:
        for name in TRACES:
            yield f"trace {name}", "records", (*check_trace(name, golden, load, pathlib.Path(scratch)), None)
    for name in RUNS:
        yield f"run {name}", "lines", check_run(name, golden, load)


def update(golden, load, say):
    """Makes all vectors anew: into a new folder first, which then takes the old one's place part by part.

    A run whose data are not here is kept as it is, and said so.
    """
    with tempfile.TemporaryDirectory(dir=golden.parent) as scratch:
        new = pathlib.Path(scratch)
        ops.write_ops(new / "ops")
        for name in TRACES:
            make_trace(name, load, new / "traces" / name)
            say(f"made trace {name}")
        for name, options in RUNS.items():
            config = make_config({**SETTINGS, **options})
            dataset = data_of(config, load)
            config = with_classes(config, dataset)
            folder = new / "runs" / name
            if dataset.name != config.data or not dataset.complete and config.data == "mnist":
                shutil.copytree(golden / "runs" / name, folder)
                say(f"kept run {name}: its data are not here")
                continue
            folder.mkdir(parents=True)
            write_atomically(folder / CONFIG, run_config(name, dataset))
            content = {STEPS: [], runs.EVALUATION: []}
            for file, line in runs.made_lines(config, dataset):
                content[file].append(line)
            for file, lines in content.items():
                write_atomically(folder / file, "".join(lines).encode())
            say(f"made run {name}")
        for part in ("ops", "traces", "runs"):
            shutil.rmtree(golden / part, ignore_errors=True)
            (new / part).rename(golden / part)
