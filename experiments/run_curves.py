"""Draws the picture of the run that the README shows, as `train` draws it into a run's folder, from its result."""
from experiments.accuracy import results
from zo_numpy.app.plots import picture
from zo_numpy.files import write_atomically

TABLE, ROW = "mnist-int8", "k2"     # what `make mnist-int8` trains


def draw(path):
    """Draws the run that the README shows.  Returns whether it has run, and its losses are kept."""
    result = results(TABLE).get(ROW, {})
    if "losses" not in result:
        return False
    config = result["config"]
    metrics = [{"epoch": epoch, "train_loss": loss, "test_accuracy": accuracy}
               for epoch, (loss, accuracy) in enumerate(zip(result["losses"], result["curve"]), 1)]
    title = (f"{config['data']}-{config['precision']}-k{config['bp_tail']}-e{config['epochs']}-s0: "
             f"{config['precision']}, K = {config['bp_tail']}, MNIST")
    write_atomically(path, picture(metrics, title))
    return True
