"""Rows that the port in C99 trains in place of zo_numpy: INT8, from their first step, bit for bit the same."""
import json
import pathlib
import subprocess
import tempfile
from typing import NamedTuple

from experiments import port
from experiments.common import commit, provenance
from zo_numpy.app import flat_data
from zo_numpy.files import write_atomically
from zo_numpy.run.checkpoint import CHECKPOINT, CONFIG, write_checkpoint
from zo_numpy.run.config_json import describe, read_config
from zo_numpy.run.steps import PRECISIONS
from zo_numpy.run.trainer import load_weights, percent


class Trained(NamedTuple):
    """What the port made of a row."""
    curve: list[float]     # accuracy after each epoch, %
    correct: int           # of `images` samples after the last one
    images: int
    digest: str            # of the weights
    weights: dict          # {name: array or QTensor}, as zo_numpy has them


class Port:
    """The port as it stands at this commit."""

    def __init__(self, program):
        """program: its path."""
        self.program = program
        self.commit = commit()
        self.name = f"experiments/port_c99 at commit {self.commit}, bit for bit the same"

    @staticmethod
    def trains(config):
        """Whether the port can train this Config: integers, and no float that decides."""
        return config.precision == "int8" and config.loss != "float"

    def train(self, config, dataset, first=None):
        """Trains a fitted Config on a Dataset.  first: the weights that it starts from, if not its own first ones.

        Returns a Trained. Raises OSError or subprocess.CalledProcessError if the program fails.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            given, data, ended = (folder / name for name in ("config.json", "data.flat", "weights.flat"))
            given.write_text(json.dumps(describe(config, dataset)))
            flat_data.export_data(config, dataset, data)
            words = ["train", given, data, "--out", folder, "--save", ended, "--single", "no"]
            precision = PRECISIONS[config.precision]
            if first:
                (folder / "first.flat").write_bytes(flat_data.flat_weights(*precision.to_arrays(first)))
                words += ["--from", folder / "first.flat"]
            subprocess.run([str(self.program), *map(str, words)], check=True, capture_output=True, text=True)
            lines = (folder / "evaluation.txt").read_text().splitlines()
            digest = (folder / "steps.txt").read_text().split()[-1]
            arrays, exponents = flat_data.arrays_of(ended.read_bytes())
        evaluated = [list(map(int, line.split())) for line in lines]
        numbers = {name + ".exponent": exponent for name, exponent in exponents.items()}
        shapes = {name: array.shape for name, array in precision.to_arrays(precision.initialise(config))[0].items()}
        weights = precision.from_arrays({name: array.reshape(shapes[name]) for name, array in arrays.items()}, numbers)
        return Trained([float(percent(right, images)) for _, right, images in evaluated], *evaluated[-1][1:], digest,
                       weights)

    def result(self, config, dataset, source=None):
        """(the result of a row as the tables keep it, its weights).  source: the folder of the run that it starts from.

        The rest is as in `train`.
        """
        first = load_weights(read_config(source), source)[0] if source else None
        trained, counted = self.train(config, dataset, first), "validation" if config.validate else "test"
        last = {"epoch": config.epochs, f"{counted}_correct": trained.correct, f"{counted}_images": trained.images,
                f"{counted}_accuracy": trained.curve[-1]}
        return {"config": describe(config, dataset), "last_epoch": last, "curve": trained.curve,
                "weights_sha256": trained.digest, "trained_with": self.name, "made_with": provenance()}, trained.weights


def write_run(folder, config, weights):
    """What another run needs to start from weights that the port trained (`init_from`): a folder with config.json and
    checkpoint.  config: the JSON object of config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    arrays, numbers = PRECISIONS[config["precision"]].to_arrays(weights)
    write_checkpoint(folder / CHECKPOINT, arrays, {"step": 0, "loss_sum": 0, **numbers})


def built_port():
    """The Port, built anew, or None without a compiler."""
    return Port(port.build(port.BUILD / "training", port.TRAINING)) if port.found_compiler() else None
