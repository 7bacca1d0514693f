"""Rows that the port in C99 trains in place of zo_numpy: INT8, from their first step, bit for bit the same."""
import json
import pathlib
import subprocess
import tempfile

import datasets
from experiments import port
from experiments.common import commit
from experiments.rows import DATA_SETS, as_json
from zo_numpy.app.progress import say
from zo_numpy.run.trainer import percent


class Port:
    """The port as it stands at this commit: built, with its data."""

    def __init__(self, program, folder):
        """program: its path.  folder: of the data, a folder of plain IDX files each."""
        self.program, self.folder = program, folder
        self.name = f"experiments/port_c99 at commit {commit()}, bit for bit the same"

    @staticmethod
    def trains(row):
        """Whether the port can train a Row: in integers, from weights that are drawn, on images as they are."""
        config = row.config
        return config.precision == "int8" and not (row.source or config.rotate or config.points
                                                   or config.loss == "float")

    def train(self, row):
        """(curve, last epoch's right and images, digest of the weights) of a Row.

        Raises OSError or subprocess.CalledProcessError if the program fails.
        """
        with tempfile.TemporaryDirectory() as folder:
            given = pathlib.Path(folder) / "config.json"
            given.write_text(json.dumps(as_json(row.config)))
            words = ["train", given, self.folder / row.config.data, "--out", folder, "--single", "no"]
            subprocess.run([str(self.program), *map(str, words)], check=True, capture_output=True, text=True)
            lines = given.with_name("evaluation.txt").read_text().splitlines()
            digest = given.with_name("steps.txt").read_text().split()[-1]
        evaluated = [list(map(int, line.split())) for line in lines]
        return [float(percent(right, images)) for _, right, images in evaluated], *evaluated[-1][1:], digest


def built_port():
    """The Port, built anew, or None without a compiler."""
    if not port.found_compiler():
        return None
    for data in DATA_SETS:
        folder = port.BUILD / "data" / data
        folder.mkdir(parents=True, exist_ok=True)
        port.write_idx(datasets.load(data, announce=say), folder)
    return Port(port.build(port.BUILD / "native", port.NATIVE), port.BUILD / "data")
