"""The picture of a table of experiments/pointnet.py."""
import re

import numpy as np

from experiments import curves
from experiments.cells import title_of
from experiments.pointnet_rows import CHANGES
from zo_numpy.app.drawing import panels

CHANGED = {"tilt": "shapes tilted by {tilt} degrees", "jitter": "shapes with noise, {jitter} thousandths of the radius"}
COLORS = {**{f"k{k}": colour for k, colour in curves.COLORS.items()}, "upright": "#56B4E9", "as-it-is": "#D55E00"}
MARKERS = {**{f"k{k}": marker for k, marker in curves.MARKERS.items()}, "upright": "v"}
LABELS = {**{f"k{k}": f"K = {k}" for k in range(4)}, "kall": "full BP", "upright": "full BP, upright shapes",
          "as-it-is": "not adapted"}
ACROSS = ("upright", "as-it-is")                            # what adapts nothing: a line across the picture
LONG, OVER = 40, 5                                          # curves of more epochs than LONG are means of so many


def draw(result, path):
    """Test accuracy by epoch, a panel for each precision that has run; means over the seeds, with their range.

    Controls are dashed, what adapts nothing is a line across. Returns whether there was anything to draw: one row
    alone is no picture.
    """
    by_label = {}
    for name, row in sorted(result.get("rows", {}).items()):
        precision, _, label = re.sub(r"-seed\d+", "", name).partition("-")
        by_label.setdefault(precision, {}).setdefault(label, []).append(row)
    if sum(map(len, by_label.values())) < 2:
        return False
    shown = [precision for precision in ("int8", "fp32") if precision in by_label]
    longest = max(len(row["curve"]) for found in by_label.values() for rows in found.values() for row in rows)
    with panels(len(shown), (4.4 * max(len(shown), 1.4), 5.8), sharey=True) as (figure, all_axes):
        for axes, precision in zip(all_axes, shown):
            for label, found in by_label[precision].items():
                stem, frozen = label.removesuffix("-frozen"), label.endswith("-frozen")
                ended = [100 * row["last_epoch"]["test_correct"] / row["last_epoch"]["test_images"] for row in found]
                text = f"{LABELS[stem]}{', control' * frozen}: {np.mean(ended):.2f} % ({len(found)})"
                if stem in ACROSS:
                    axes.axhline(np.mean(ended), color=COLORS[stem], linestyle=":", label=text)
                else:
                    same = [row["curve"] for row in found if len(row["curve"]) == len(found[0]["curve"])]
                    curves.draw_curves(axes, np.array(same), COLORS[stem], MARKERS[stem], frozen, text,
                                       over=OVER if len(same[0]) > LONG else 1)
            curves.finish(axes, precision.upper())
        curves.scale_by_error(all_axes[0])
        all_axes[0].set_ylabel(curves.BY_ERROR)
        title = [f"PointNet, {title_of(result)}"]
        title += [words.format(**CHANGES[change]) for change, words in CHANGED.items() if f"_{change}_" in path.stem]
        title.append("means over the seeds (how many), shaded from the worst to the best")
        if longest > LONG:
            title.append(f"lines of over {LONG} epochs: each point the mean of {OVER} epochs, the mark the last one")
        figure.suptitle("\n".join(title), fontsize=11)
        figure.savefig(path, dpi=110)
    return True
