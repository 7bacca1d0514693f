"""Accuracy by batch size as a picture, with the memory of a step on a second axis, and as a table."""
import statistics

from experiments import batch_rows
from experiments.batch_rows import KINDS, METHODS, method_name, row_of
from experiments.cells import NOT_RUN, Table
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import BP
from zo_numpy.app.drawing import panels

COLOURS = {"int8-own": "#D55E00", "int8-running": "#0072B2", "fp32": "#000000"}   # told apart without red or green
MARKERS = {"int8-own": "s", "int8-running": "o", "fp32": "^"}
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
    """A row of panels a data set, a panel for each K: means over the seeds, bars from the worst to the best."""
    columns, labelled = (1, 2, 3, BP), set()
    with panels(len(columns), (10, 5.6), rows=len(batch_rows.DATA_SETS)) as (figure, all_axes):
        for axes, (data, k) in zip(all_axes, [(data, k) for data in batch_rows.DATA_SETS for k in columns]):
            title = "full BP" if k == BP else f"K = {k}"
            axes.set_title(f"{TITLES[data]}, {title}", fontsize=10)
            for kind in KINDS:
                lines = [(k, False, "-", LABELS[kind])] + ([(k, True, "--", None)] if k != BP else [])
                lines += [(0, False, ":", None)] if k == 1 else []
                for which, frozen, style, label in lines:
                    found = accuracies(result, data, kind, which, frozen)
                    means = [statistics.mean(values) for values in found.values()]
                    spread = [[mean - min(values) for mean, values in zip(means, found.values())],
                              [max(values) - mean for mean, values in zip(means, found.values())]]
                    if found:
                        axes.errorbar(list(found), means, spread, color=COLOURS[kind], linestyle=style, label=label,
                                      marker=MARKERS[kind], markersize=3.5, linewidth=1.3, capsize=2, elinewidth=0.8)
            axes.set_xscale("log", base=2)
            axes.set_xticks(batch_rows.BATCHES[::2], [str(batch) for batch in batch_rows.BATCHES[::2]])
            axes.grid(alpha=0.25)
            if not axes.lines:
                axes.set_visible(False)
                continue
            beside = axes.twinx()
            for precision, style in (("int8", "-"), ("fp32", "-.")):
                held = [(batch, result.get("memory", {}).get(f"{precision}-{method_name(k, False)}-b{batch}"))
                        for batch in batch_rows.BATCHES]
                held = [(batch, bytes_ / 1e6) for batch, bytes_ in held if bytes_]
                if held:
                    beside.plot(*zip(*held), color="0.62", linestyle=style, linewidth=1,
                                label=f"memory, {precision.upper()}")
            beside.set_yscale("log")
            beside.set_ylim(0.1, 100)
            beside.tick_params(colors="0.45", labelsize=8, labelright=k == BP)
            if k == BP:
                beside.set_ylabel("MB of a step", color="0.45")
            if data not in labelled:   # the first panel of its row
                axes.set_ylabel("test accuracy, %")
                labelled.add(data)
            if data == batch_rows.DATA_SETS[-1]:
                axes.set_xlabel("batch")
        named = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())}
        figure.legend(named.values(), named, loc="outside lower center", ncols=5, fontsize=9, frameon=False,
                      title_fontsize=9, title="solid: ElasticZO or full BP, dashed: frozen control, "
                      "dotted: K = 0; bars: worst to best seed")
        figure.savefig(path, dpi=110)


def tables():
    """A table a data set: means over the seeds, and how many there are where not all have run."""
    result = {"rows": {}, **read_result(batch_rows.NAME)}
    for data in batch_rows.DATA_SETS:
        lines = []
        for k, frozen in METHODS:
            for kind in KINDS:
                found = accuracies(result, data, kind, k, frozen)
                if found:
                    lines.append([("full BP" if k == BP else f"K = {k}") + ", control" * frozen,
                                  "INT8" if k == 0 and kind != "fp32" else LABELS[kind],
                                  *(cell(found.get(batch)) for batch in batch_rows.BATCHES)])
        yield Table(f"{TITLES[data]}: test accuracy by batch, {batch_rows.SAMPLES:,} images in "
                    f"{batch_rows.EPOCHS} epochs", ["", "", *batch_rows.BATCHES], lines,
                    "Means over seeds, whose number stands in brackets; those of one seed and of three are not "
                    f"paired. FP32 with a tail has a fifth of the default's eta_tail in batches below "
                    f"{batch_rows.LOW_BATCH}; the own scale has the defaults' b_bp at every batch.")


def cell(values):
    return f"{statistics.mean(values):.2f} ({len(values)})" if values else NOT_RUN
