"""curves.png: training loss and accuracy by epoch, of one run or of several."""
import io

from ..errors import why
from ..files import write_atomically
from ..run.folder import CURVES
from ..run.metrics import kind_of, read_metrics
from .drawing import panels


def draw_curves(folder, title):
    """Writes curves.png into a run folder from its metrics.  title: one line above the picture.

    Returns None, or in a line why there is no picture: a run is whole without one.  Raises UserError if the metrics
    cannot be used.
    """
    metrics = read_metrics(folder)
    try:
        write_atomically(folder / CURVES, picture(metrics, title))
    except Exception as error:   # matplotlib, its settings, its fonts and the disk each have their own
        return why(error)


def picture_of_several(curves):
    """The curves of several runs as the bytes of a PNG.  curves: {name: metrics, see `picture`}."""
    with panels(2, (11, 4.5)) as (figure, (left, right)):
        for name, metrics in curves.items():
            epochs, label = [line["epoch"] for line in metrics], drawable(name).replace("$", r"\$").lstrip("_")
            kind = kind_of(metrics[0])
            marker = "o" if len(epochs) <= 40 else None
            left.plot(epochs, [line["train_loss"] for line in metrics], marker=marker, markersize=3, label=label)
            right.plot(epochs, [line[kind + "_accuracy"] for line in metrics], marker=marker, markersize=3)
        left.set(xlabel="epoch", ylabel="cross-entropy, nats a sample", title="training loss")
        left.set_ylim(bottom=0)
        right.set(xlabel="epoch", ylabel="%", title="accuracy")
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        figure.legend(loc="outside lower center", fontsize=8)
        return png_of(figure)


def drawable(text):
    """A text with nothing but what the font surely has."""
    return text.encode("latin1", "replace").decode("latin1")


def png_of(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def picture(metrics, title):
    """The curves of metrics, dicts of an epoch each, as the bytes of a PNG."""
    kind = kind_of(metrics[0])
    epochs = [line["epoch"] for line in metrics]
    accuracy = [line[kind + "_accuracy"] for line in metrics]
    marker = "o" if len(epochs) <= 40 else None
    with panels(2, (10, 4)) as (figure, (left, right)):
        figure.suptitle(drawable(title), fontsize=11, parse_math=False)
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
        return png_of(figure)
