"""Draws the picture of the run that the README shows, as `train` draws it into a run's folder, from its result."""
import json
import pathlib
import tempfile

from experiments.accuracy import results
from zo_numpy.files import write_atomically
from zo_numpy.plots import draw_curves
from zo_numpy.run_folder import CURVES, METRICS

TABLE, ROW = "mnist-int8", "k2"     # what `make mnist-int8` trains


def draw(path):
    """Draws the run that the README shows.  Returns whether it has run, and its losses are kept."""
    result = results(TABLE).get(ROW, {})
    if "losses" not in result:
        return False
    with tempfile.TemporaryDirectory() as folder:
        folder, config = pathlib.Path(folder), result["config"]
        lines = [{**result["last_epoch"], "epoch": epoch, "train_loss": loss, "test_accuracy": accuracy}
                 for epoch, (loss, accuracy) in enumerate(zip(result["losses"], result["curve"]), 1)]
        (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        draw_curves(folder, f"{config['data']}-{config['precision']}-k{config['bp_tail']}-e{config['epochs']}-s0: "
                            f"{config['precision']}, K = {config['bp_tail']}, MNIST")
        write_atomically(path, (folder / CURVES).read_bytes())
    return True
