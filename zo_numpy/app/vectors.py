"""The `golden` commands: check, update, export, export-data, diff and text."""
import contextlib
import importlib.util
import os
import pathlib
import sys
import tempfile

from ..errors import UserError
from ..files import scratch_folder
from ..golden import check, diff, port_report, text, trace, update
from ..run.config import Config, check_number, flat, make_config, whole
from ..run.config_json import read_config
from ..run.fitting import fitted
from ..run.network import own_model
from ..run.steps import parts, steps_in_epoch
from . import flat_data
from .beside import GOLDEN
from .data import at_hand, data_of_run, load_data, own_file
from .methods import method_of
from .progress import say

TESTS = GOLDEN.parent
SHOWN = 20   # divergences after the first


def _check_all(port=None):
    """Exit status 1 if a committed vector is not what this machine, or the port in a folder, computes."""
    differing = port_report.report(GOLDEN, port, say) if port else check.check(GOLDEN, at_hand, say, method_of)
    return 1 if differing else 0


def _update_all():
    update.update(GOLDEN, at_hand, say, _flags_finder(), method_of)


def _flags_finder():
    """The function that finds the flags of an op's case, from tests/bugs.py.  Raises UserError where there is none."""
    path = TESTS / "bugs.py"
    if not path.is_file():
        raise UserError(f"{path}, which finds the flags of the ops' cases, does not exist; run this from a clone of "
                        "the project")
    spec = importlib.util.spec_from_file_location("bugs", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TESTS))   # bugs.py imports what stands beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(TESTS))
    return module.flags_of


def _check_empty(folder):
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; name a new folder")


def _configured(run, data_dir, offline, given, check=lambda config: None):
    """(Config, Dataset) of options, or of a run but for what is given.  check: called with the Config, to refuse it."""
    if run:
        stored, given = read_config(run), own_model(given)
        given, data = {**flat(stored), **given}, given.get("data")
        config = make_config({**given, "data": stored.data})
        check(config)
        dataset = data_of_run(run, config, data, data_dir, offline)
    else:
        given, file = own_file(own_model(given))
        config = make_config({"tail_scale": Config.tail_scale, **given})   # the default of vectors never changes
        check(config)
        dataset = load_data(config, data_dir, offline, file=file)
    return fitted(config, dataset), dataset


def _export_one(folder, steps=3, compact=False, data_dir=None, offline=False, run=None, **given):
    """Writes a trace; a folder that is there must be empty.  run: whose configuration and data it has, but for what is
    given."""
    config, dataset = _configured(run, data_dir, offline, given, trace.check_traceable)
    check_number("steps", steps, whole(1, config.epochs * steps_in_epoch(config, len(parts(config, dataset)[0][1]))))
    _check_empty(folder)
    made = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_folder(folder) as new:
            records = trace.export_trace(config, dataset, new, steps, compact, method_of(config))
            _check_empty(folder)       # another process may have been faster
            os.replace(new, folder)   # whole or not at all
    except BaseException:
        with contextlib.suppress(OSError):   # of a folder that another process put something into
            for parent in made:
                parent.rmdir()
        raise
    say(f"wrote {folder}: {records} records of {steps} steps")


def _export_data(path, run=None, data_dir=None, offline=False, **given):
    """Writes the data of a run as one flat file; run, given: as of `_export_one`."""
    size = flat_data.export_data(*_configured(run, data_dir, offline, given), path)
    say(f"wrote {path} ({size:,} bytes)")


def _print_text(path, hex=None):
    """hex: a folder that is not there or empty, which gets a file for each array instead."""
    lines, first = (text.trace_lines(path), 9) if path.is_dir() else (text.case_lines(path), 6)
    if hex is None:
        for line in lines:
            say(line)
        return
    _check_empty(hex)
    with scratch_folder(hex) as new:
        for name, content in text.hex_files(lines, first):
            (new / name).write_text(content)
        os.replace(new, hex)
    say(f"wrote {hex}")


def _diff_two(reference, mine):
    """Exit status 1 if the traces differ.  mine: - is flat text on standard input, of all records or some."""
    if str(mine) != "-":
        return _report(diff.compare(reference, mine))
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")   # a line that a device has just opened can hold anything
    with tempfile.TemporaryDirectory() as folder:
        skipped, first = text.read_trace(sys.stdin, reference, pathlib.Path(folder))
        found = diff.compare(reference, folder, partial=True)
    status = _report(found._replace(skipped=0))
    if found.skipped:
        say(f"{found.skipped:,} of {found.compared + found.skipped:,} records were not sent")
    if skipped:
        lines = f"{skipped:,} lines skipped that are" if skipped > 1 else "1 line skipped that is"
        say(f"{lines} no record, the first: {first!a}")
    return status


def _report(found):
    """Prints what a diff.compare found; the exit status."""
    if found.findings:
        say(f"first divergence: {found.findings[0]}")
        for finding in found.findings[1:SHOWN + 1]:
            say(f"    then: {finding}")
        if len(found.findings) > SHOWN + 1:
            say(f"    and {len(found.findings) - SHOWN - 1:,} more")
    for name in found.extra[:SHOWN]:
        say(f"extra file: {name} belongs to no record of the reference")
    if found.tolerances:
        say(str(found.tolerances))
    say(f"{found.compared:,} records compared, {len(found.findings):,} differ"
        + (f", {found.skipped:,} could not be compared (no file and no {trace.MANIFEST})" if found.skipped else ""))
    return 1 if found.findings or found.extra else 0


ACTIONS = {"check": _check_all, "update": _update_all, "export": _export_one, "export-data": _export_data,
           "diff": _diff_two, "text": _print_text}
