"""How much the tests notice: single-line mutants of the arithmetic, each run against the tests until one fails.

    python -m tests.trust.mutants [--count 220] [--again] [--summary]      (make mutants)

The mutants are a seeded choice, spread over the files by their size. Each is put into a copy of the tree, where the
tests of that file run first, then more, then all that use it; the first failure, or more time than all tests together
take, kills it. What is finished stands in runs/mutants.jsonl and is not done again; --again repeats the survivors,
--summary runs none.
The summary is experiments/results/trust_mutants.json. A survivor there has the reason why no test can tell it
from the original (equivalents.py), or "" where a test is missing.
"""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from experiments.common import save_result
from .equivalents import REASONS
from .mutations import is_one, mutants_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOG = ROOT / "runs" / "mutants.jsonl"
FOLDERS = ("zo_numpy/int8/*.py", "zo_numpy/fp32/*.py", "zo_numpy/rng.py")
LEAST = 6        # mutants of a file, where it has as many
A_LINE = 3       # mutants of a line, at most
SWAPS = 2        # of a file's mutants, at most, swap arguments: most of those end in a traceback at once
STAGES = ("own", "wider", "widest")
SECONDS = dict(zip(STAGES, (90, 300, 400)))   # of processor time
PATIENCE = 5     # times as long by the clock: a busy machine kills nothing, what sleeps for ever is ended
MEMORY = 6 << 30

# Names of test files, in the order in which they run; control runs of some epochs come last.
OWN = {"int8/arith.py": "arith tail_int8", "int8/layers.py": "layers_int8", "int8/loss.py": "loss_int8",
       "int8/tail.py": "tail_int8 tail_scale", "int8/points.py": "points",
       "int8/elastic_zo.py": "elastic_zo_int8 variants",
       "int8/draws.py": "rng elastic_zo_int8", "int8/variants.py": "variants", "int8/tiled.py": "tiled tiled_tail",
       "int8/precision.py": "elastic_zo_int8", "fp32/points.py": "points", "fp32/tiled.py": "tiled tiled_tail",
       "fp32/variants.py": "variants", "rng.py": "rng"}
WIDER = {"int8": "arith rng layers_int8 tail_int8 tail_scale loss_int8 spec tiled tiled_tail tiles variants "
                 "elastic_zo_int8 golden_ops points no_floats golden_trace",
         "fp32": "rng fp32 variants points tiled tiled_tail tiles golden_fp32"}
WIDEST = {"int8": "elastic_zo_int8 golden_runs trainer fine_tuning export full_bp full_bp_points memory clouds",
          "fp32": "diverged trainer fine_tuning full_bp full_bp_points memory clouds"}


def plan(file):
    """The arguments of pytest for each stage, of a file's mutants."""
    short = file.removeprefix("zo_numpy/")
    precision = "fp32" if short.startswith("fp32") else "int8"
    wider = WIDER[precision] + (" fp32 golden_fp32" if short == "rng.py" else "")
    own = OWN.get(short, "fp32")
    names = [own, " ".join(name for name in wider.split() if name not in own.split()), WIDEST[precision]]
    quick = ["-k", "not test_control"]
    return [[*quick * (stage != "widest"), *(f"tests/test_{name}.py" for name in tests.split())]
            for stage, tests in zip(STAGES, names)]


def chosen(count, seed=0):
    """At least `count` mutants of all files; a mutant's place in the order depends on nothing but its own text."""
    candidates, sources = {}, {}
    for path in sorted(path for pattern in FOLDERS for path in ROOT.glob(pattern)):
        file = path.relative_to(ROOT).as_posix()
        sources[file] = path.read_text(encoding="utf-8")
        candidates[file] = sorted(mutants_of(file, sources[file]),
                                  key=lambda mutant: hashlib.sha256(f"{seed} {mutant.key}".encode()).digest())
    total, result = sum(map(len, candidates.values())), []
    for file, found in candidates.items():
        share, met = max(LEAST, -(-count * len(found) // total)), collections.Counter()
        taken = []
        for mutant in found:
            place, most = (mutant.kind, SWAPS) if mutant.kind == "arguments swapped" else (mutant.line, A_LINE)
            if len(taken) < share and met[place] < most and is_one(mutant, sources[file]):
                met[place] += 1
                taken.append(mutant)
        result += taken
    return sorted(result, key=lambda mutant: hashlib.sha256(mutant.key.encode()).digest()), total


def limits(seconds):
    """What a child process calls first: it may not use more than so much time and MEMORY."""
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    return limited


def tested(tree, arguments, seconds):
    """None if these tests pass in that tree, else the first that failed, or why there was none."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "ZO_NUMPY_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE", *arguments]
    process = subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, preexec_fn=limits(seconds))
    try:
        said, _ = process.communicate(timeout=PATIENCE * seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"more than {PATIENCE * seconds} s"
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"more than {seconds} s"
    if process.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", said, re.MULTILINE)
    return failed[1] if failed else f"exit status {process.returncode}"


def judged(tree, mutant):
    """The record of a mutant that all its tests have been run on."""
    target = tree / mutant.file
    original = target.read_bytes()
    began, killer = time.monotonic(), None
    target.write_text(mutant.source, encoding="utf-8")
    try:
        for stage, arguments in zip(STAGES, plan(mutant.file)):
            killer = tested(tree, arguments, SECONDS[stage])
            if killer:
                break
    finally:
        target.write_bytes(original)
    return {"key": mutant.key, "stage": stage if killer else None, "by": killer,
            "seconds": round(time.monotonic() - began, 1)}


def copy_of_the_tree(folder):
    """What git tracks or would track, in a folder."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def summary(mutants, candidates, finished):
    """What is committed: counts by file and stage, and every survivor."""
    files, survivors = {}, []
    for mutant in mutants:
        record = finished.get(mutant.key)
        if record is None:
            continue
        counts = files.setdefault(mutant.file, {"mutants": 0, **dict.fromkeys(STAGES, 0), "survived": 0})
        counts["mutants"] += 1
        counts[record["stage"] or "survived"] += 1
        if not record["stage"]:
            survivors.append({"file": mutant.file, "line": mutant.line, "function": mutant.function,
                              "kind": mutant.kind, "before": mutant.before, "after": mutant.after,
                              "equivalent because": REASONS.get((mutant.before, mutant.after), "")})
    done = sum(counts["mutants"] for counts in files.values())
    killed = done - len(survivors)
    missed = sum(not survivor["equivalent because"] for survivor in survivors)
    return {"candidates": candidates, "chosen": len(mutants), "finished": done, "killed": killed,
            "killed, %": round(100 * killed / max(1, done), 1), "equivalent": len(survivors) - missed,
            "killed of those not equivalent, %": round(100 * killed / max(1, killed + missed), 1),
            "killed by a time limit": sum(finished[mutant.key]["by"].startswith("more than") for mutant in mutants
                                          if finished.get(mutant.key, {}).get("by")),
            "files": dict(sorted(files.items())), "survivors": survivors}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.trust.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=220, help="at least so many mutants")
    parser.add_argument("--again", action="store_true", help="run the survivors that have no reason again")
    parser.add_argument("--summary", action="store_true", help="sum up what is finished, and run nothing")
    given = parser.parse_args(arguments)
    mutants, candidates = chosen(given.count)
    LOG.parent.mkdir(exist_ok=True)
    records = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    finished = {record["key"]: record for record in records}
    repeated = {mutant.key for mutant in mutants
                if given.again and not finished.get(mutant.key, {"stage": 1})["stage"]
                and (mutant.before, mutant.after) not in REASONS}
    open_ones = [mutant for mutant in mutants if mutant.key not in finished or mutant.key in repeated]
    print(f"{len(mutants)} of {candidates} mutants, {len(open_ones)} to run")
    open_ones = [] if given.summary else open_ones
    with tempfile.TemporaryDirectory() as folder, open(LOG, "a") as log:
        tree = copy_of_the_tree(pathlib.Path(folder))
        for number, mutant in enumerate(open_ones, 1):
            finished[mutant.key] = record = judged(tree, mutant)
            print(json.dumps(record), file=log, flush=True)
            print(f"{number}/{len(open_ones)} {record['seconds']:6.1f} s  {mutant.file}:{mutant.line}  {mutant.before}"
                  f"  ->  {mutant.after}  " + (f"killed by {record['by']}" if record["by"] else "SURVIVED"), flush=True)
    result = summary(mutants, candidates, finished)
    print(f"{result['killed']} of {result['finished']} killed; {save_result('trust_mutants', result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
