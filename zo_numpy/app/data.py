"""What lies beside this package in a clone and is not installed with it: datasets/ and tests/golden/."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
if not (ROOT / "datasets" / "download.py").exists():
    print("error: datasets/ is not beside the zo_numpy package; run from a clone of the project, or install one with "
          "`pip install -e .`", file=sys.stderr)
    raise SystemExit(2)
sys.path.insert(0, str(ROOT))   # of an editable install, called from another folder
import datasets  # noqa: E402
from datasets import DataError  # noqa: E402, F401 - __main__.py has it from here, behind the check above


def say(text):
    print(text, flush=True)


def load_data(config, data_dir=None, offline=False, announce=say):
    """The Dataset of a run, turned or disturbed if it asks for that.  Raises DataError."""
    clouds = {"points": config.points} if config.points else {}
    dataset = datasets.load(config.data, data_dir=data_dir, offline=offline, announce=announce, **clouds)
    if config.tilt or config.jitter:
        from datasets.disturb import changed
        dataset = changed(dataset, config.tilt, config.jitter)
    if config.rotate:
        from datasets.rotate import rotated   # needs scipy, which nothing else here does
        dataset = rotated(dataset, config.rotate)
    return dataset
