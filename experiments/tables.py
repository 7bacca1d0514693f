"""Prints the results as tables, ours beside what the paper's abstract claims; trains nothing.

    python -m experiments.tables [NAME ...] [--markdown]

    1            full training: accuracy, gain over K = 0 and over the frozen control
    2            fine-tuning: a network trained upright, adapted to rotated images
    3            memory of a step, measured and predicted
    4            time of a step and what it goes into
    batch-size   accuracy by batch at equal samples
    tail-passes  the tail's gradient from both passes against the second alone

Accuracies are of the last epoch on the test set, means over seeds with the range from the worst seed to the best. A
gain is the mean over the seeds that both have. A cell without a result says "not run"; a * says that its settings are
not today's defaults.
"""
import argparse

from experiments import batch_picture
from experiments.cells import (
    NOT_RUN, Table, as_markdown, as_text, cell, pointnet_cells, pointnet_results, training_cells)
from experiments.common import QUICK, read_result
from experiments.rows import BP, CONTROLS, DATA_SETS, DEGREES, LONGER, METHODS, PRECISIONS, RUNNING
from zo_numpy.run.defaults import DEFAULTS

METHOD_NAMES = {"none": "not adapted", "k1-frozen": "K = 1, frozen control", "frozen": "K = 2, frozen control",
                "k0": "K = 0", "k1": "K = 1", "k2": "K = 2", "all": "full BP"}
CLAIMED_GAIN = "5.2 to 9.5"             # points over vanilla ZO; these four are the abstract's (arXiv 2501.04287)
CLAIMED_OVERHEAD = "0.072 to 1.7 %"     # memory over vanilla ZO
CLAIMED_MEMORY = "1.46 to 1.60"         # FP32 over INT8
CLAIMED_TIME = "1.38 to 1.42"           # FP32 over INT8
TAILS = (0, 1, 2, 3, BP)


def name_of(k):
    return "full BP" if k == BP else f"K = {k}"


def training_lines(cells):
    """Lines of Table 1.  cells: of `training_cells`."""
    vanilla, lines = cells(0), []
    for k in TAILS:
        here, frozen = cells(k), cells(k, True) if k in (1, 2, 3) else None
        claimed = CLAIMED_GAIN if k in (1, 2, 3) else "-"
        lines.append([name_of(k), here, frozen or "-", "-" if k == 0 else here.gain(vanilla), claimed,
                      here.gain(frozen) if frozen else "-"])
    return lines


TRAINING_HEAD = ["tail", "accuracy, %", "its frozen control, %", "gain over K = 0", "claimed", "gain over the control"]


def full_training():
    """Table 1, one part for each data set and precision."""
    for data in DATA_SETS:
        for precision in PRECISIONS:
            table = f"{data}-{precision}"
            yield Table(f"Table 1, full training: {data}, {precision}", TRAINING_HEAD,
                        training_lines(training_cells(table)))
    yield changed("longer", LONGER, "Table 1, MNIST, INT8: longer training with larger batches")
    yield changed("running-scale", RUNNING, "Table 1, MNIST, INT8: the running scale of the tail's steps")
    yield float_loss()
    for result in pointnet_results() or [{}]:
        yield from pointnet_training(result)


def pointnet_training(result):
    """ModelNet, seed 0 alone; PointNet's rows are those of experiments/pointnet.py."""
    for precision in PRECISIONS:
        data, points = result.get("data", "modelnet10"), result.get("points", 256)
        yield Table(f"Table 1, full training: {data}, {points} points, {precision}", TRAINING_HEAD,
                    training_lines(pointnet_cells(result, precision)))


def changed(table, changes, title):
    """What other options than the defaults bring.  changes: {K: options} of the table, as rows.py has them."""
    lines, cells, defaults = [], training_cells(table), training_cells("mnist-int8")
    for k, more in changes.items():
        here, frozen = cells(k), cells(k, True) if k in (1, 2, 3) else None
        epochs = more.get("epochs") or DEFAULTS["int8", k]["epochs"]
        lines.append([name_of(k), epochs, more["batch_size"], here, here.gain(defaults(k)), frozen or "-",
                      here.gain(frozen) if frozen else "-"])
    return Table(title, ["tail", "epochs", "batch", "accuracy, %", "gain over the defaults", "its frozen control, %",
                         "gain over the control"], lines)


def float_loss():
    lines = []
    for k in range(4):
        integer, exact = cell("mnist-int8", f"k{k}"), cell("float-loss", f"k{k}")
        lines.append([f"K = {k}", integer, exact, integer.gain(exact)])
    return Table("Table 1, MNIST, INT8: what an integer loss costs",
                 ["tail", "integers only, %", "sign of g by float64, %", "gain of integers only"], lines)


def tail_passes():
    sizes, lines = read_result("step_bytes").get("rows", {}), []
    for precision in PRECISIONS:
        for k in (1, 2):
            second, both = (cell("tail-passes", f"{precision}-k{k}-{passes}") for passes in ("second", "both"))
            size = {passes: sizes.get(f"{precision}-k{k}-{passes}", {}) for passes in ("second", "both")}
            lines.append([f"{precision}, K = {k}", second, both, both.gain(second),
                          *(f"{size[passes][name]:,}" if size[passes] else NOT_RUN
                            for name in ("held", "peak") for passes in ("second", "both"))])
    yield Table("MNIST, ten epochs of 10,000 images: the tail's gradient from both passes against the second alone", [
        "", "second pass, %", "both passes, %", "gain of both", "bytes held from the first pass: second", "both",
        "peak bytes of a step: second", "both"], lines)


def fine_tuning():
    """Table 2, one part for each data set, precision and angle."""
    for data in DATA_SETS:
        for precision in PRECISIONS:
            upright = cell(f"{data}-{precision}", BP).by_seed.get(0)
            for degrees in DEGREES:
                stem = f"{data}-{precision}-{degrees}-"
                cells = {method: cell("fine-tuning", stem + method, "all") for method in METHODS}
                lines = [[METHOD_NAMES[method], here, cell("fine-tuning", stem + method, "first"),
                          *("-" if method in ("none", other) else here.gain(cells[other], one_for_all=other == "none")
                            for other in ("none", "k0")),
                          CLAIMED_GAIN if method in CONTROLS else "-",
                          here.gain(cells[CONTROLS[method]]) if method in CONTROLS else "-",
                          recovered(method, here, cells["none"], upright)] for method, here in cells.items()]
                upright_text = f"{upright:.2f} % upright" if upright else f"upright {NOT_RUN}"
                yield Table(f"Table 2, fine-tuning: {data}, {precision}, rotated by {degrees} degrees ({upright_text})",
                            ["", "all test images, %", "first 1,024, %", "gain over not adapted", "over K = 0",
                             "claimed", "over the control", "share of the loss recovered"], lines)


def recovered(method, here, before, upright):
    """How much of what the rotation lost is back."""
    if method == "none":
        return "-"
    if upright is None or not before.by_seed or not here.by_seed or upright <= before.mean():
        return NOT_RUN
    return f"{100 * (here.mean() - before.mean()) / (upright - before.mean()):.0f} %"


def memory_rows(name="memory"):
    """{(precision, batch, K, frozen): row} of a result; a batch of clouds is called '32 x 1024' by its points."""
    return {(row["precision"], f"{row['batch']} x {row['points']}" if "points" in row else row["batch"],
             row["bp_tail"], row["frozen"]): row for row in read_result(name).get("rows", [])}


def overhead(rows, precision, batch, k, frozen=False):
    """Percent of memory over vanilla ZO; None if not run."""
    here, zo = rows.get((precision, batch, k, frozen)), rows.get((precision, batch, 0, False))
    return 100 * (here["measured"] / zo["measured"] - 1) if here and zo else None


def memory_ratio(rows, batch, k):
    """FP32 over INT8; None if not run."""
    pair = [rows.get((precision, batch, k, False)) for precision in ("fp32", "int8")]
    return pair[0]["measured"] / pair[1]["measured"] if all(pair) else None


def shown(value, form="{:.2f}"):
    return NOT_RUN if value is None else form.format(value)


def memory():
    """Table 3, a part for each network."""
    yield memory_of("LeNet-5", memory_rows())
    yield memory_of("PointNet, a batch of clouds by points", memory_rows("memory_pointnet"))


def memory_of(network, rows):
    lines = []
    for batch in dict.fromkeys(key[1] for key in rows) or [32]:
        for k, frozen in ((0, False), (1, False), (1, True), (2, False), (3, False), (BP, False)):
            line = [batch, name_of(k) + ", control" * frozen]
            for precision in PRECISIONS:
                row = rows.get((precision, batch, k, frozen), {})
                line += [shown(row.get("measured"), "{:,}"), "-" if k == BP else shown(row.get("predicted"), "{:,}")]
                line.append("-" if k == 0 else shown(overhead(rows, precision, batch, k, frozen), "{:+.2f} %"))
            lines.append([*line, CLAIMED_OVERHEAD if k in (1, 2, 3) and not frozen else "-",
                          "-" if frozen else shown(memory_ratio(rows, batch, k)), "-" if frozen else CLAIMED_MEMORY])
    return Table(f"Table 3, memory: bytes at the peak of a step of {network}, weights and images included",
                 ["batch", "tail", "INT8 measured", "predicted", "over K = 0", "FP32 measured", "predicted",
                  "over K = 0", "claimed", "FP32 / INT8", "claimed"], lines)


def time():
    """Table 4, and its breakdown."""
    result = read_result("speed")
    steps = {(step["precision"], step["batch"], step["bp_tail"]): step for step in result.get("steps", [])}
    batches, lines = sorted({key[1] for key in steps}) or [32], []
    for batch in batches:
        for k in TAILS:
            ratio = result.get("ratios", {}).get(f"int8_over_fp32_k{k}_b{batch}")
            milliseconds = [shown(steps.get((precision, batch, k), {}).get("milliseconds")) for precision in PRECISIONS]
            lines.append([batch, name_of(k), *milliseconds, shown(1 / ratio if ratio else None), CLAIMED_TIME])
    yield Table("Table 4, time: ms a step of LeNet-5, " + f"{result.get('threads', 2)} threads",
                ["batch", "tail", "INT8", "FP32", "FP32 / INT8", "claimed"], lines,
                "Above 1, INT8 is the faster one. NumPy has no product of int8 for the processor's vectors: integers "
                "are multiplied as int32.")
    clouds = read_result("speed_pointnet")
    yield Table("Table 4, time: PointNet, 32 clouds of 1,024 points", ["tail", "FP32 / INT8", "claimed"], [
        [name_of(k), shown(1 / ratio if ratio else None), CLAIMED_TIME] for k in TAILS
        for ratio in [clouds.get("ratios", {}).get(f"pointnet_int8_over_fp32_k{k}_b32")]])
    parts = list(next((step["parts"] for step in steps.values() if step["parts"]), {}))
    yield Table("Table 4, what the time goes into: ms a step on one thread", ["batch", "precision", "tail", *parts], [
        [batch, precision, name_of(k), *(f"{steps[precision, batch, k]['parts'][part]:.2f}" for part in parts)]
        for batch in batches for precision in PRECISIONS for k in TAILS
        if steps.get((precision, batch, k), {}).get("parts")] or [[NOT_RUN] * 3])


PRINTERS = {"1": full_training, "2": fine_tuning, "3": memory, "4": time, "batch-size": batch_picture.tables,
            "tail-passes": tail_passes}


def printed(name, form=as_text):
    """All parts of one table."""
    return "\n".join(map(form, PRINTERS[name]()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="NAME", help=", ".join(PRINTERS))
    parser.add_argument("--markdown", action="store_true", help="for documents")
    options = parser.parse_args()
    unknown = set(options.tables) - set(PRINTERS)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is no table; choose of {', '.join(PRINTERS)}")
    if QUICK:
        print("QUICK: two epochs of a few images, no measure of anything\n")
    for name in options.tables or PRINTERS:
        print(printed(name, as_markdown if options.markdown else as_text))


if __name__ == "__main__":
    main()
