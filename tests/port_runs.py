"""Runs written for the port in C99, and what it says of them."""
import json
import subprocess

from zo_numpy.__main__ import main
from zo_numpy.app import flat_data
from zo_numpy.app.data import load_data
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import describe
from zo_numpy.run.fitting import fitted


def write_run(folder, **options):
    """Writes config.json and data.flat of a run with these options; returns (Config, Dataset)."""
    config = make_config(options)
    dataset = load_data(config, offline=True, announce=lambda text: None)
    config = fitted(config, dataset)
    (folder / "config.json").write_text(json.dumps(describe(config, dataset)))
    flat_data.export_data(config, dataset, folder / "data.flat")
    return config, dataset


def said(built, *words):
    """(exit status, stdout, stderr) of the port."""
    done = subprocess.run([str(built / "port"), *map(str, words)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def same_steps(built, run, folder):
    """Whether the port, given a run's configuration and data, writes the run's own steps.txt.  folder: to work in."""
    folder.mkdir()
    assert main(["golden", "export-data", str(folder / "data.flat"), "--run", str(run)]) == 0
    status, _, line = said(built, "train", run / "config.json", folder / "data.flat", "--out", folder)
    assert (status, line) == (0, "")
    return (folder / "steps.txt").read_text() == (run / "steps.txt").read_text()


def refused(built, *words):
    """The one line in which the port refuses to do that."""
    status, printed, line = said(built, *words)
    assert (status, printed) == (2, "") and line.startswith("error: ") and line.count("\n") == 1, (status, line)
    return line
