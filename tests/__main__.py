"""The whole suite, its files shared among as many processes as there are cores: `python -m tests` (make test).

    python -m tests [options of pytest]

`python -m pytest` does the same in one process. The last line is the sum of what the processes counted; the status is 1
if a test failed in any.
"""
import collections
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import time

from zo_numpy import system

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = 4                   # that a process runs: few, so that all cores have work until the end
NO_TESTS, INTERRUPTED = 5, 130   # exit statuses
KINDS = ("failed", "passed", "skipped", "error")


def shares():
    """All test files, FILES in a share, long and short ones mixed."""
    files = sorted((ROOT / "tests").glob("test_*.py"), key=lambda path: -path.stat().st_size)
    count = -(-len(files) // FILES)
    return [[str(path.relative_to(ROOT)) for path in files[start::count]] for start in range(count)]


def run(files, options):
    """(exit status, what pytest printed) of a share."""
    process = subprocess.run([sys.executable, "-m", "pytest", *options, *files], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    return process.returncode, process.stdout


def counts_of(printed):
    """{kind: tests} of pytest's last line."""
    last = printed.strip().splitlines()[-1:] or [""]
    return {kind: int(number) for number, kind in re.findall(rf"(\d+) ({'|'.join(KINDS)})", last[0])}


def main(options):
    began, total, statuses = time.monotonic(), collections.Counter(), set()
    pool = concurrent.futures.ThreadPoolExecutor(system.processors())
    try:
        running = [pool.submit(run, files, options) for files in shares()]
        for future in concurrent.futures.as_completed(running):
            status, printed = future.result()
            print(printed, end="", flush=True)
            total.update(counts_of(printed))
            statuses.add(status)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    said = ", ".join(f"{total[kind]} {kind}" for kind in KINDS if total[kind]) or "no tests ran"
    print(f"==== {said} in {time.monotonic() - began:.2f}s ====")
    return NO_TESTS if statuses == {NO_TESTS} else int(bool(statuses - {0, NO_TESTS}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
