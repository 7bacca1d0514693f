"""curves.png: a run's training loss and accuracy by epoch."""
import io

from ..errors import UserError
from ..files import read_bounded, strict_json, write_atomically
from ..run.config import ADDED, SCHEDULES
from ..run.folder import CURVES, METRICS

LARGEST_METRICS = 1 << 28   # bytes
LARGEST_NUMBER = 1e15


def read_metrics(folder):
    """The lines of a run's metrics.jsonl, as dicts.  Raises UserError if there are none."""
    path = folder / METRICS
    try:
        lines = [strict_json(line) for line in read_bounded(path, LARGEST_METRICS).splitlines()]
        kind = "validation" if lines and "validation_accuracy" in lines[0] else "test"
        for number, line in enumerate(lines, 1):
            check_line(line, number, kind)
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}); resume or repeat the run") from None
    if not lines:
        raise UserError(f"{path} has no finished epoch yet; resume the run")
    return lines


def check_line(line, number, kind):
    """Refuses, as a ValueError, what is no line of an epoch, or one whose numbers contradict each other.

    number: of the epoch, from 1.  kind: test or validation.
    """
    accuracy, correct, total = (f"{kind}_{name}" for name in ("accuracy", "correct", "images"))
    names = {"epoch", "step", "train_loss", "seconds", "images_per_second", accuracy, correct, total}
    schedules = [set(), *(of_precision.keys() - ADDED for of_precision in SCHEDULES.values())]
    if not names <= line.keys() or line.keys() - names - ADDED.keys() not in schedules or \
            any(type(value) not in (int, float) or abs(value) > LARGEST_NUMBER for value in line.values()):
        raise ValueError(f"line {number} is no epoch's")
    if line["epoch"] != number or not 0 <= line[correct] <= line[total] or line["seconds"] < 0 or \
            abs(100 * line[accuracy] - 10_000 * line[correct] // line[total]) > 1e-6:
        raise ValueError(f"the numbers of line {number} contradict each other")


def draw_curves(folder, title):
    """Writes curves.png into a run folder from its metrics.  title: one line above the picture."""
    write_atomically(folder / CURVES, picture(read_metrics(folder), title))


def picture(metrics, title):
    """The curves of metrics, dicts of an epoch each, as the bytes of a PNG."""
    import matplotlib
    matplotlib.use("Agg")   # draws without a screen
    import matplotlib.pyplot as plt

    kind = "validation" if "validation_accuracy" in metrics[0] else "test"
    epochs = [line["epoch"] for line in metrics]
    accuracy = [line[kind + "_accuracy"] for line in metrics]
    marker = "o" if len(epochs) <= 40 else None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    drawable = title.encode("latin1", "replace").decode("latin1")   # what the font surely has
    figure.suptitle(drawable, fontsize=11, parse_math=False)
    left.plot(epochs, [line["train_loss"] for line in metrics], color="tab:red", marker=marker, markersize=4)
    left.set(xlabel="epoch", ylabel="cross-entropy, nats a sample", title="training loss, theta + z and theta - z")
    left.set_ylim(bottom=0)
    right.plot(epochs, accuracy, color="tab:blue", marker=marker, markersize=4)
    right.set(xlabel="epoch", ylabel="%", title=f"{kind} accuracy, last epoch {accuracy[-1]:.2f} %")
    right.axhline(accuracy[-1], color="tab:blue", linewidth=0.8, linestyle=":")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)   # one epoch alone would get ticks of hundredths
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    plt.close(figure)
    return png.getvalue()
