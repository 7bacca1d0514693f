"""Recomputes everything committed under tests/golden and compares it.

INT8 is compared byte for byte, FP32 within the tolerances of tolerances.py.
"""
import pathlib
import tempfile

from ..errors import UserError
from ..run.config_json import read_config
from ..run.folder import CONFIG, STEPS, read_description
from ..run.steps import own_method
from . import committed, contract, diff, ops, runs
from .tolerances import SUMMARY


def check(golden, load, say, method_of=own_method):
    """Recomputes all vectors under `golden`.  Returns how many differences there are.

    load: maps a Config to its Dataset.  say: called with each line of the report.  method_of: maps a Config to the
    steps.Method of its steps; those of full BP are no part of this package.
    Raises UserError if there is nothing to compare.
    """
    check_folder(golden)
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


def check_folder(golden):
    """Refuses a folder of vectors that is not there: it is not installed."""
    if not golden.is_dir():
        raise UserError(f"{golden} does not exist; run this from a clone of the project")


def _all_checks(golden, load, method_of):
    """Yields (title, unit, (compared, differences, why skipped or None)) of everything committed."""
    for part, names in (("traces", committed.TRACES), ("runs", committed.RUNS)):
        unknown = sorted({path.name for path in (golden / part).glob("*")} - set(names))
        if unknown:
            raise UserError(f"{golden / part / unknown[0]} is none of the committed {part}; remove it, or update the "
                            "program")
    yield f"{len(ops.OPS)} ops", "numbers", (*check_ops(golden / "ops"), None)
    with tempfile.TemporaryDirectory() as scratch:
        for name in committed.TRACES:
            yield f"trace {name}", "records", (*_check_trace(name, golden, load, method_of, pathlib.Path(scratch)), None)
    for name in committed.RUNS:
        yield f"run {name}", "lines", check_run(name, golden, load, method_of)
    made = {**committed.made_beside(load), **committed.made_as_text(golden)}
    yield "contract, data and text", "files", (*contract.check_files(golden, made), None)


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
    kept, again = golden / "traces" / name, scratch / name
    committed.make_trace(name, load, again, method_of)
    return differences_of(kept, again)


def differences_of(kept, again):
    """(records compared, sentences on what differs) of a committed trace and the same made again."""
    found = diff.compare(kept, again)
    differences = [str(finding) for finding in found.findings] + [f"{file} is not committed" for file in found.extra]
    if found.skipped:
        differences.append(f"{found.skipped} records cannot be compared")
    if not differences and found.tolerances:
        if _exact_part(kept) != _exact_part(again):
            differences = [f"{diff.MANIFEST} is not, but for float numbers, what this version writes"]
    elif not differences:
        differences = [f"{file.name} is not, byte for byte, what this version writes"
                       for file in sorted(again.iterdir())
                       if (kept / file.name).read_bytes() != file.read_bytes()]
    unlisted = {path.name for path in kept.iterdir()} - {path.name for path in again.iterdir()}
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
    compared, difference = runs.first_difference(path, config, method_of(config), dataset, name in committed.ALONE)
    differences = [difference] if difference else []
    if (path / CONFIG).read_bytes() != committed.run_config(name, dataset):
        differences.append(f"{CONFIG} is not, byte for byte, what this version writes")
    unlisted = {file.name for file in path.iterdir()} - {CONFIG, STEPS, runs.EVALUATION}
    return compared, differences + [f"{file} is committed but no part of a run" for file in sorted(unlisted)], None
