"""Bad input: damages every file the project reads, and its command line; nothing worse than one line may come of it.

    python -m tests.trust.fuzz [--count 21000] [--seed 0] [--only NAME] [--out]

Input i of a format is a function of (seed, format, i). A failure is a traceback, a warning, a hang (20 s), a crash, an
attempt to take more than 1 GB of memory, or a wrong value accepted; each is printed with the number that makes it
again. Results, by format and outcome, go to results/trust_fuzz.json with --out.
"""
import argparse
import collections
import contextlib
import io
import json
import mmap
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings

from datasets import DataError
from experiments.common import save_result
from tests.trust import command_line, formats
from tests.trust.mutate import mutated
from zo_numpy.__main__ import main as run_command
from zo_numpy.errors import UserError

MEMORY = 1 << 30      # bytes beside what the process has when it starts
HANG = 20             # seconds
SHARE_OF_LINES = 0.12   # of all inputs, those that are command lines
COSTLY = {"hdf5": 0.5, "zip of ModelNet": 0.5}   # of a share, as each takes a process


class Hang(BaseException):
    """No reader may catch it."""


def alarm(*_):
    raise Hang


def outcome(form, content, sound):
    """What comes of one damaged file, in words; failures begin with FAILED."""
    form.path.write_bytes(content)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            value = form.read()
    except (UserError, DataError) as error:
        text = " ".join(str(error).split())
        if "MemoryError" in text or "Unable to allocate" in text:
            return f"FAILED memory: {text[:200]}"
        return "refused with a one-line error"
    except (Exception, Hang) as error:
        return f"FAILED {type(error).__name__}: {traceback.format_exc()[-700:]}"
    if warned:
        return f"FAILED warning: {warned[0].message}"
    if isinstance(value, formats.Reported):
        return "difference reported"
    if value == sound:
        return "accepted, equal to the original's result"
    reason = form.reason(value, sound, content)
    return f"accepted: {reason}" if reason else f"FAILED wrong result accepted: {str(value)[:300]}"


def files_outcomes(form, seed, start, count):
    """Yields the outcome of inputs start..count - 1 of a format."""
    content, sound = form.path.read_bytes(), form.read()
    assert not isinstance(sound, formats.Reported), form.name
    for i in range(start, count):
        damaged = mutated(random.Random(f"{seed} {form.name} {i}"), content)
        signal.alarm(HANG)
        yield "unchanged" if damaged == content else outcome(form, damaged, sound)
        signal.alarm(0)


def line_outcomes(place, seed, start, count):
    """Yields the outcome of command lines start..count - 1."""
    command_line.stop_long_work()
    for i in range(start, count):
        words = command_line.line(random.Random(f"{seed} line {i}"), place)
        said, errors = io.StringIO(), io.StringIO()
        signal.alarm(HANG)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
                status = run_command(words)
        except SystemExit as error:
            status = error.code
        except (Exception, Hang):
            yield f"FAILED {words}: {traceback.format_exc()[-700:]}"
            continue
        finally:
            signal.alarm(0)
        lines = errors.getvalue().count("\n")
        if status == 2 and lines == 1:
            yield "refused with a one-line error"
        elif status in (0, 1, 130) and lines == (status == 130):
            wrong = command_line.wrong_config(words, place) if status == 130 else None
            yield f"FAILED {wrong} is not as given: {words}" if wrong else "accepted: a valid command"
        else:
            yield f"FAILED status {status}, {lines} lines: {words} {errors.getvalue()[:300]}"
        command_line.clean(place)


def in_child(outcomes, count):
    """Yields (number, outcome) of `count` inputs made in a child with limits, which is replaced if one ends it.

    outcomes: (start, count) -> outcomes.
    """
    number, start = mmap.mmap(-1, 8), 0
    while start < count:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
            signal.signal(signal.SIGALRM, alarm)
            with open(write, "w") as pipe:
                for i, text in enumerate(outcomes(start, count), start):
                    number[:] = (i + 1).to_bytes(8, "big")
                    print(json.dumps([i, text]), file=pipe, flush=True)
            os._exit(0)
        os.close(write)
        number[:] = start.to_bytes(8, "big")
        with open(read) as pipe:
            yield from map(json.loads, pipe)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        start = int.from_bytes(number[:], "big")
        if status or start < count:
            yield start, f"FAILED crash: the reader ended with status {status}"
            start += 1


def run(count, seed, only="", say=print):
    """{format: {outcome: how many}} of about `count` inputs, and the failures as sentences."""
    table, failures = {}, []
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        os.environ["ZO_NUMPY_DATA"] = str(place / "cache")
        targets = formats.all_formats(place)
        lines = round(count * SHARE_OF_LINES)
        share = (count - lines) / sum(COSTLY.get(form.name, 1) for form in targets)
        jobs = [(form.name, lambda start, end, form=form: files_outcomes(form, seed, start, end),
                 -int(-share * COSTLY.get(form.name, 1) // 1), form) for form in targets]
        jobs.append(("command line", lambda start, end: line_outcomes(place, seed, start, end), lines, None))
        for name, outcomes, number, form in jobs:
            if only not in name:
                continue
            started, sound = time.monotonic(), form.path.read_bytes() if form else b""
            counts = collections.Counter()
            for i, text in in_child(outcomes, number + 1):
                counts[text if not text.startswith("FAILED") else "FAILED"] += 1
                if text.startswith("FAILED"):
                    failures.append(f"{name}, input {i}: {text}")
            if form:
                form.path.write_bytes(sound)
            table[name] = dict(sorted(counts.items()))
            say(f"{name}: {sum(counts.values()):,} in {time.monotonic() - started:.0f} s, {table[name]}", flush=True)
    return table, failures


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.trust.fuzz", description="Damages every input.")
    parser.add_argument("--count", type=int, default=21_000, help="inputs in all, about (default 21,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only formats whose name contains this")
    parser.add_argument("--out", action="store_true", help="write results/trust_fuzz.json")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    table, failures = run(options.count, options.seed, options.only)
    for failure in failures:
        print(failure, file=sys.stderr)
    changed = sum(number for counts in table.values() for text, number in counts.items() if text != "unchanged")
    print(f"{changed:,} inputs, {len(failures):,} failures")
    if options.out:
        print("wrote", save_result("trust_fuzz", {
            "seed": options.seed, "count": options.count, "inputs": changed, "failures": len(failures),
            "seconds": round(time.monotonic() - started), "memory_limit": MEMORY, "formats": table}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
