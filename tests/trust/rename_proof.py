"""Renames every private function of zo_numpy in a copy of the project and runs its tests there: none may break.

    python -m tests.trust.rename_proof

A test that breaks leaned on how the package is made, not on what it does. Writes experiments/results/trust_rename.json.
"""
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from private_names import private_names  # noqa: E402

from experiments.common import save_result  # noqa: E402
from tests.trust.mutants import copy_of_the_tree  # noqa: E402


def renamed_copy(folder):
    """Copies the project into a folder with other private names.  Returns how many were renamed."""
    copy_of_the_tree(folder)
    others = {name: f"_other_{number}" for number, name in enumerate(sorted(private_names(folder)))}
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, others)) + r")\b")
    for path in (folder / "zo_numpy").rglob("*.py"):
        path.write_text(pattern.sub(lambda match: others[match[1]], path.read_text()))
    return len(others)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder, started = Path(scratch) / "project", time.monotonic()
        folder.mkdir()
        count = renamed_copy(folder)
        done = subprocess.run([sys.executable, "-m", "tests", "-p", "no:cacheprovider"], cwd=folder,
                              capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        summary = done.stdout.strip().splitlines()[-1]
    print(f"{count} private names changed: {summary}", *lines, sep="\n")
    save_result("trust_rename", {"renamed": count, "summary": summary, "failed": lines,
                                 "seconds": round(time.monotonic() - started)})
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
