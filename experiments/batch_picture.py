"""Accuracy by batch size as a picture, with the memory of a step in a panel of its own, and as a table."""
import statistics

from experiments import batch_rows
from experiments.batch_rows import KINDS, METHODS, method_name, row_of
from experiments.cells import FEWEST, NOT_RUN, Table, half_width, name_of
from experiments.common import read_result
from experiments.curves import BY_ERROR, TITLES, scale_by_error
from experiments.rows import BP
from experiments.summary import STYLES
from zo_numpy.app.drawing import panels

LOOKS = {kind: dict(color=colour, marker=marker, markersize=4) for kind, (colour, marker) in (
    ("int8-own", ("#56B4E9", "v")), ("int8-running", STYLES["int8"]), ("fp32", STYLES["fp32"]))}
COLUMNS = 3   # of panels
LABELS = {"int8-own": "INT8, own scale", "int8-running": "INT8, running scale", "fp32": "FP32"}


def accuracies(result, data, kind, k, frozen):
    """{batch: [percent of each seed]} of what has run."""
    found = {}
    for batch in batch_rows.BATCHES:
        for seed in range(1, 100):
            row = result.get("rows", {}).get(row_of(data, kind, k, frozen, batch, seed).name)
            if row:
                found.setdefault(batch, []).append(100 * row["correct"] / row["images"])
    return found


def draw(result, path):
    """A panel for each data set and K that has run, and one of the memory of a step."""
    shown = [(data, k) for data in batch_rows.DATA_SETS for k in (1, 2, 3, BP)
             if any(accuracies(result, data, kind, k, False) for kind in KINDS)]
    shown.sort(key=lambda one: one[1] == BP)   # full BP and memory make the last row
    rows = -(-(len(shown) + 1) // COLUMNS)
    with panels(COLUMNS, (8.8, 2.9 * rows + 0.8), rows=rows) as (figure, all_axes):
        for axes in all_axes[len(shown) + 1:]:
            axes.set_visible(False)
        for axes, (data, k) in zip(all_axes, shown):
            draw_accuracies(axes, result, data, k)
            axes.set_title(f"{TITLES[data]}, {name_of(k)}", fontsize=11)
        draw_memory(all_axes[len(shown)], result.get("memory", {}))
        for axes in all_axes:
            axes.set_xscale("log", base=2)
            axes.set_xticks(batch_rows.BATCHES[::2], [str(batch) for batch in batch_rows.BATCHES[::2]])
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        for axes in all_axes[:len(shown):COLUMNS]:
            axes.set_ylabel(BY_ERROR.replace(" (", "\n("))
        for axes in all_axes[-COLUMNS:]:
            axes.set_xlabel("batch")
        named = {label: handle for axes in figure.axes[:len(shown)]
                 for handle, label in zip(*axes.get_legend_handles_labels())}
        figure.legend(named.values(), named, loc="outside lower center", ncols=5, fontsize=10, frameon=False,
                      title_fontsize=10, title="Solid: ElasticZO or full BP; dashed: frozen control; dotted: K = 0.\n"
                      f"Hollow: fewer than {FEWEST} seeds. Bars: 95 % intervals of {FEWEST} seeds or more.")
        figure.savefig(path, dpi=110)


def draw_accuracies(axes, result, data, k):
    """Means over the seeds by batch, of a K and its control; vanilla ZO beside K = 1."""
    for kind in KINDS:
        lines = [(k, False, "-", LABELS[kind])] + ([(k, True, "--", None)] if k != BP else [])
        lines += [(0, False, ":", None)] if k == 1 else []
        for which, frozen, style, label in lines:
            found = accuracies(result, data, kind, which, frozen)
            means = {batch: statistics.mean(values) for batch, values in found.items()}
            axes.plot(list(means), list(means.values()), linestyle=style, linewidth=1.3, markerfacecolor="white",
                      **LOOKS[kind])
            several = [batch for batch, values in found.items() if len(values) >= FEWEST]
            axes.errorbar(several, [means[batch] for batch in several], [half_width(found[batch]) for batch in several],
                          linestyle="none", label=label, capsize=2, elinewidth=0.8, **LOOKS[kind])
    scale_by_error(axes)


def draw_memory(axes, memory):
    """kB of a step by batch, at K = 2, of which the other K differ little, and of full BP."""
    for precision, kind in (("int8", "int8-running"), ("fp32", "fp32")):
        for k, style in ((2, "-"), (BP, "-.")):
            held = {batch: memory[name] / 1000 for batch in batch_rows.BATCHES
                    if (name := f"{precision}-{method_name(k, False)}-b{batch}") in memory}
            axes.plot(list(held), list(held.values()), linestyle=style, label=f"{precision.upper()}, {name_of(k)}",
                      **LOOKS[kind])
    axes.set_yscale("log")
    ticks = [200, 500, 1000, 2000, 5000]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("kB at the peak of a step")
    axes.set_title("memory, LeNet-5", fontsize=11)
    axes.legend(fontsize=8, frameon=False)


def tables():
    """A table a data set: means over the seeds, and how many there are where not all have run."""
    result = {"rows": {}, **read_result(batch_rows.NAME)}
    for data in batch_rows.DATA_SETS:
        lines = []
        for k, frozen in METHODS:
            for kind in KINDS:
                found = accuracies(result, data, kind, k, frozen)
                if found:
                    lines.append([name_of(k) + ", control" * frozen,
                                  "INT8" if k == 0 and kind != "fp32" else LABELS[kind],
                                  *(cell(found.get(batch)) for batch in batch_rows.BATCHES)])
        yield Table(f"{TITLES[data]}: test accuracy by batch, {batch_rows.SAMPLES:,} images in "
                    f"{batch_rows.EPOCHS} epochs", ["", "", *batch_rows.BATCHES], lines,
                    "Means over seeds, whose number stands in brackets; those of one seed and of three are not "
                    f"paired. FP32 with a tail has a fifth of the default's eta_tail in batches below "
                    f"{batch_rows.LOW_BATCH}; the own scale has the defaults' b_bp at every batch.")


def cell(values):
    return f"{statistics.mean(values):.2f} ({len(values)})" if values else NOT_RUN
