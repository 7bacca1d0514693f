"""What another implementation passes: its answers in a folder laid out as tests/golden, whole or in part.

    ops/NAME.json          an object with `cases`, a list of {"id": n, "expected": {..}}: its own results in place of
                           ours; what it leaves out is not compared, and other entries are not looked at
    traces/NAME/           as for `golden diff`: .npy or .bin files, a manifest.json or none; or some of the files
    runs/NAME/steps.txt    its log, and evaluation.txt; of a log that ends early the lines that there are
"""
import difflib
import json
import pathlib
from typing import NamedTuple

from ..errors import UserError
from ..files import read_bounded, unique_names
from ..run.config_json import read_config
from ..run.folder import STEPS
from . import diff, ops, runs
from .check import check_folder
from .tolerances import Tolerances

PASSED, PARTLY, DIFFERS, ABSENT = "passes", "passes in part", "DIFFERS", "not there"
SHORTENED = 300   # characters of a line of the report
SHOWN = 20        # names that no vector has
NEAR = 0.75       # a folder's name that is as like one of the three is taken for a mistake


class _Result(NamedTuple):
    """What is said of one vector."""
    state: str
    text: str = ""


def report(golden, folder, say):
    """Compares what is in `folder` with the vectors of `golden`; calls say with each line.

    Returns how many ops, traces and runs differ.  Raises UserError if the folder has none of them.
    """
    check_folder(golden)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the one that holds your implementation's ops, traces or runs")
    tiers = {"ops": _op, "traces": _trace, "runs": _run}
    results = {tier: {name: compare(golden / tier / name, folder / tier / name) if (folder / tier / name).exists()
                      else _Result(ABSENT) for name in sorted(path.name for path in (golden / tier).iterdir())}
               for tier, compare in tiers.items()}
    unknown = _unknown_names(folder, results)
    if all(result.state == ABSENT for of_tier in results.values() for result in of_tier.values()):
        empty = [f"{tier}/{name}: {result.text}" for tier, of_tier in results.items()
                 for name, result in of_tier.items() if result.text]
        raise UserError("; ".join([f"{folder} has nothing to compare: write ops/NAME.json, traces/NAME/ or runs/NAME/ "
                                   f"there, named as in {golden}", *empty[:SHOWN], *unknown[:SHOWN]]))
    for tier, of_tier in results.items():
        for name, result in of_tier.items():
            if result != _Result(ABSENT):
                say(f"{tier}/{name}: {result.state}{', ' * bool(result.text)}{result.text}"[:SHORTENED])
    for line in unknown[:SHOWN]:
        say(line[:SHORTENED])
    if len(unknown) > SHOWN:
        say(f"and {len(unknown) - SHOWN} more that have no vector's name")
    for tier, of_tier in results.items():
        states = [result.state for result in of_tier.values()]
        say(f"{tier}: {states.count(PASSED)} of {len(states)} pass, {states.count(PARTLY)} in part, "
            f"{states.count(DIFFERS)} differ, {states.count(ABSENT)} not there")
        absent = [name.removesuffix(".json") for name, result in of_tier.items() if result.state == ABSENT]
        if absent and len(absent) < len(states):
            say(f"    not there: {', '.join(absent)}"[:SHORTENED])
    return sum(result.state == DIFFERS for of_tier in results.values() for result in of_tier.values())


def _unknown_names(folder, tiers):
    """Sentences on what is in the port's folder by a name that no vector has, and which name is the nearest.

    tiers: {tier: names of its vectors}.  Of what stands beside the tiers only names that are nearly theirs count.
    """
    found = [(path.name, tiers) for path in sorted(folder.iterdir()) if path.name not in tiers
             and difflib.get_close_matches(path.name.lower(), tiers, 1, NEAR)]
    found += [(f"{tier}/{path.name}", names) for tier, names in tiers.items() if (folder / tier).is_dir()
              for path in sorted((folder / tier).iterdir()) if path.name not in names and path.name[0] != "."]
    return [f"{name}: not compared, the vectors have no such name{_nearest(name.rpartition('/')[2], names)}"
            for name, names in found]


def _nearest(name, names):
    by_stem = {pathlib.PurePath(right).stem: right for right in names}   # whatever ending was written
    near = difflib.get_close_matches(pathlib.PurePath(name.lower()).stem, by_stem, 1)
    return f"; the nearest is {by_stem[near[0]]}" if near else ""


def _read_answers(path):
    """{id: {field: value}} of a file of answers.  Raises ValueError, OSError or their kin."""
    content = json.loads(read_bounded(path, ops.LARGEST_FILE).decode("ascii"), object_pairs_hook=unique_names)
    answers = {case["id"]: case["expected"] for case in content["cases"]}
    if not all(type(number) is int and type(answer) is dict for number, answer in answers.items()):
        raise ValueError("a case has no whole number as id, or no object as expected")
    return answers


def _op(committed, path):
    try:
        answers = _read_answers(path)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return _Result(DIFFERS, f"it cannot be read ({type(error).__name__}: {error})")
    vectors = ops.load_vectors(committed)
    known = {case["id"] for case in vectors["cases"]}
    if not answers.keys() <= known:
        return _Result(DIFFERS, f"there is no case {sorted(answers.keys() - known)[0]}")
    mismatches, fields = ops.check_answers(vectors, answers)
    count = f"{len(answers)} of {len(known)} cases"
    if mismatches:
        wrong = {mismatch.case for mismatch in mismatches}
        bugs = [f"{flag} ({meaning})" for flag, meaning in vectors["flags"].items() if wrong == {
            case["id"] for case in vectors["cases"] if flag in case["flags"] and case["id"] in answers}]
        return _Result(DIFFERS, f"{len(wrong)} of {len(answers)} cases are wrong"
                       + (f", just those of the bug {' or '.join(bugs)}" if bugs else "") + f"; {mismatches[0]}")
    if not fields:
        return _Result(ABSENT, "it answers nothing")
    whole = fields == sum(len(case["expected"]) for case in vectors["cases"])
    return _Result(PASSED, count) if whole else _Result(PARTLY, f"{count}, {fields} fields")


def _trace(committed, path):
    try:
        found = diff.compare(committed, path, partial=True)
    except UserError as error:
        return _Result(DIFFERS, str(error))
    if found.findings or found.extra:
        files = [record["file"] for record in diff.read_manifest(committed)["records"] if "file" in record]
        first = found.findings[0] if found.findings else (f"{found.extra[0]} belongs to no record"
                                                          f"{_nearest(found.extra[0], files)}")
        return _Result(DIFFERS, f"{len(found.findings)} of {found.compared} records; first {first}")
    if not found.compared:
        return _Result(ABSENT, "it holds none of the trace's files")
    if found.skipped:
        total = found.compared + found.skipped
        return _Result(PARTLY, f"{found.compared} of {total} records, {found.skipped} not there")
    return _Result(PASSED, f"{found.compared} records")


def _run(committed, path):
    config = read_config(committed)
    tolerances = Tolerances(config.schedules) if config.precision == "fp32" else None
    compared = missing = 0
    for name in (STEPS, runs.EVALUATION):
        expected = runs.committed_lines(committed / name)
        lines = runs.committed_lines(path / name) if (path / name).is_file() else []
        for number, (right, line) in enumerate(zip(expected, lines), 1):
            right, line = right.rstrip("\r\n"), line.rstrip("\r\n")
            if right != line and not (tolerances and tolerances.line(right, line)):
                return _Result(DIFFERS, f"{name}, line {number}: expected {right!r}, got {line[:100]!r}")
        if len(lines) > len(expected):
            return _Result(DIFFERS, f"{name}, line {len(expected) + 1}: the run has no more lines")
        compared, missing = compared + len(lines), missing + len(expected) - len(lines)
    if not compared:
        return _Result(ABSENT, f"it has no line of {STEPS} or {runs.EVALUATION}")
    return _Result(PARTLY if missing else PASSED, f"{compared} lines" + (f", {missing} not there" if missing else ""))
