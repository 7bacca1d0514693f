"""What the README says was found: three lines, a table of what ZO adds, and the limits.

Every number is of the results; what is said of a difference follows from its interval.
"""
import statistics
import textwrap

from scipy import stats

from experiments import batch_picture, batch_rows, cost_tables
from experiments.cells import (
    CONFIDENCE, FEWEST, NO_DIFFERENCE, NOT_RUN, Difference, markdown_rows, times_the_samples, training_cells)
from experiments.claims import BATCHES
from experiments.common import read_result
from experiments.rows import BP, PRECISIONS
from experiments.tables import of_full_training

TAILS = (1, 2, 3)   # that have a control


def wrapped(text, width=119, indent=""):
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False,
                                   subsequent_indent=indent))


def bullets(texts):
    return "\n".join(wrapped(f"- {text.strip()}", indent="  ") for text in texts)


def port_ratios(batches, model="lenet5", tails=(0, 1, 2, 3)):
    """INT8 over FP32 of the port's steps, the smallest and the largest; None if not run."""
    found = [1 / row["fp32 / int8"] for row in read_result("port_speed").get("port", [])
             if row["model"] == model and row["batch"] in batches and row["bp_tail"] in tails]
    return (min(found), max(found)) if found else None


def numpy_ratios(result="speed", prefix=""):
    """The same of NumPy's steps; of PointNet's: "speed_pointnet", "pointnet_"."""
    start = f"{prefix}int8_over_fp32_k"
    found = [ratio for name, ratio in read_result(result).get("ratios", {}).items()
             if name.startswith(start) and not name.startswith(start + "all")]
    return (min(found), max(found)) if found else None


def of_full_bp():
    """An INT8 step of K = 2 over one of full BP, in NumPy at batch 32; None if not run."""
    steps = {step["bp_tail"]: step["microseconds_an_image"] for step in read_result("speed").get("steps", [])
             if step["precision"] == "int8" and step["batch"] == 32}
    return steps[2] / steps[BP] if {2, BP} <= steps.keys() else None


def range_of(ratios):
    return NOT_RUN if ratios is None else f"{ratios[0]:.2f} to {ratios[1]:.2f}"


def faster(ratios):
    """What a range of INT8 over FP32 says of INT8."""
    if ratios is None:
        return NOT_RUN
    return "faster" if ratios[1] < 1 else "slower" if ratios[0] > 1 else "not always faster"


def of_zo(cells):
    """{K: the Difference that ZO makes}, K beside its frozen control."""
    return {k: cells(k).difference(cells(k, True)) for k in TAILS}


def of_each_precision(cells_of):
    """'FP32 ...' words of a Difference, in brackets, beside that of INT8.  cells_of: {precision: Difference}."""
    return f"{cells_of['int8'].short()} (FP32 {cells_of['fp32'].short()})"


def joined(words):
    """'a, b and c'."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def findings():
    """The three lines."""
    cells = {precision: training_cells(f"mnist-{precision}") for precision in PRECISIONS}
    int8, fp32 = cells["int8"], cells["fp32"]
    accuracy = ", ".join(f"{name} {int8(k).short()} % ({fp32(k).short()})" for name, k in (
        ("vanilla ZO (K = 0)", 0), ("ElasticZO at K = 2", 2), ("full BP", BP)))
    adds = {k: of_each_precision({precision: of_zo(one)[k] for precision, one in cells.items()}) for k in TAILS}
    return "\n".join(wrapped(text, indent="   ") for text in (
        f"1. **Accuracy**, LeNet-5 on MNIST, in integers (in brackets: in FP32): {accuracy}; {int8(2).seeds()}, full "
        f"BP {int8(BP).seeds()}. {samples_seen(int8, fp32)}",
        f"2. **Where the gain of K = 2 comes from: {source_of_the_gain(int8)}.** In integers it is "
        f"{int8(2).difference(int8(0)).short()} points above vanilla ZO. Training the tail alone, with all other "
        f"layers left as they were initialised (the frozen control), already gives "
        f"{int8(2, True).difference(int8(0)).short()}. ZO adds the rest: {adds[2]}. At K = 1 ZO adds {adds[1]}, at "
        f"K = 3 {adds[3]}; {NO_DIFFERENCE}means that these seeds cannot tell it from nothing. {taken_together()}"
        f"{on_clouds()}",
        f"3. **Memory and time.** {memory()} {time()}"))


def samples_seen(int8, fp32):
    """How long the runs are."""
    epochs = {k: [cells(k).schedule()[0] for cells in (int8, fp32)] for k in (0, 2, BP)}
    lengths = [f"{name} {epochs[k][0]} ({epochs[k][1]})" for k, name in ((0, "K = 0"), (2, "K = 2"), (BP, "full BP"))]
    return f"The runs are not equally long: in epochs, {', '.join(lengths)}."


def taken_together():
    """Whether the gain of K = 2 on MNIST remains if it is judged with all the others; nothing where both do."""
    found, kept = told_together()
    lost = [precision.upper() for precision in PRECISIONS
            if (name := f"MNIST, {precision.upper()}, K = 2") in found and found[name].is_told() and name not in kept]
    return (f"If all {len(found)} such differences are [judged together](experiments/README.md#what-was-found), that of "
            f"K = 2 in {joined(lost)} can no longer be told. ") if lost else ""


def on_clouds():
    """Where K = 2 is told above or below its control on point clouds."""
    found = {f"{title.partition(',')[0]} in {precision.upper()}": of_zo(cells)[2]
             for title, by_precision in of_full_training().items() if title.startswith("ModelNet")
             for precision, cells in by_precision.items()}
    told = {name: one for name, one in found.items() if one.is_told()}
    above, below = ([f"{name} ({one.short()})" for name, one in told.items() if (one.mean > 0) == up]
                    for up in (True, False))
    gain = f"K = 2 gains on {', '.join(above)}" if above else "ZO adds no gain at K = 2 that can be told"
    return f"On point clouds {gain}" + (f"; it is below its control on {', '.join(below)}." if below else ".")


def source_of_the_gain(cells):
    """In words: whether most of what K = 2 gains over vanilla ZO is the tail's."""
    gain, tail = cells(2).difference(cells(0)).mean, cells(2, True).difference(cells(0)).mean
    if gain is None or tail is None:
        return NOT_RUN
    return "mostly the tail" if tail > gain / 2 else "mostly ZO"


def memory():
    """What a step of K = 2 holds beside inference, full BP and FP32, at batches of 32 and 1."""
    rows = cost_tables.memory_rows()
    held = {key: row["measured"] for key, row in rows.items() if not key[3]}
    idle = {batch: rows.get(("int8", batch, 0, False), {}).get("inference") for batch in (32, 1)}
    wanted = [("int8", 32, 2, False), ("int8", 1, 2, False), ("int8", 32, BP, False), ("fp32", 32, 2, False)]
    if None in idle.values() or not all(key in held for key in wanted):
        return NOT_RUN
    two, single, full, fp32 = (f"{held[key] / 1000:,.0f} kB" for key in wanted)
    more = {batch: f"{100 * (held['int8', batch, 2, False] / idle[batch] - 1):.1f} %" for batch in idle}
    return (f"An INT8 step of K = 2 holds {two} at a batch of 32, weights and images included, as measured in NumPy: "
            f"{more[32]} more than inference on that batch. At a batch of 1 it is {single}, {more[1]} more. Full BP "
            f"in INT8 holds {full} at a batch of 32, and K = 2 in FP32 {fp32}.")


def time():
    """How long a step takes, INT8 beside FP32, in C and in NumPy, and K = 2 beside full BP; what a small core needs."""
    ratio = of_full_bp()
    beside = "" if ratio is None else (
        f" A step of K = 2 takes {ratio:.2f} times as long there as one of full BP, both in INT8, at a batch of 32.")
    few, most = port_ratios((1,), tails=(0, 1, 2)), port_ratios((1,), tails=(3,))
    return (f"[In C](experiments/port_c99) INT8 is {faster(port_ratios(BATCHES))} than FP32 at batches of 32 and 256: "
            f"a step of LeNet-5 takes {range_of(port_ratios(BATCHES))} times as long. At a batch of 1 it is "
            f"{faster(few)} at K = 0 to 2 ({range_of(few)} times), and {faster(most)} at K = 3 ({range_of(most)} "
            f"times). In NumPy INT8 is {faster(numpy_ratios())}: "
            f"{range_of(numpy_ratios())} times as long at batches of 32 and 256.{beside}{on_a_device()}")


def on_a_device():
    """What the exported program takes of a core without an operating system; nothing if that has not run."""
    row = read_result("port_machines").get("cortex_m")
    return "" if not row else (
        f" The exported C program makes a step at a batch of 1 in {row['instructions'] / 1e6:.1f} million instructions "
        f"of a {row['machine']} (emulated), in {row['flash'] / 1000:.0f} kB of flash and "
        f"{(row['static'] + row['stack']) / 1000:.0f} kB of RAM.")


def added():
    """What ZO adds: K = 2 beside vanilla ZO and full BP, and every K beside its control."""
    lines, times = [], {}
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            if cells(2).by_seed:
                seen = times_the_samples(cells(2), cells(0))
                lines.append([f"{title}, {precision.upper()}", cells(0).short(), cells(2).short(), cells(BP).short(),
                              cells(2).difference(cells(0)), seen or "the same number",
                              *of_zo(cells).values()])
        if found := times_the_samples(*(by_precision[precision](2) for precision in PRECISIONS)):
            times.setdefault(found, []).append(title)
    note = joined([f"{found} as many samples on {joined(titles)}" for found, titles in times.items()])
    head = ["accuracy, %", "K = 0", "K = 2", "full BP", "K = 2 over K = 0", "training samples, K = 2 over K = 0",
            *(f"K = {k} over its control" for k in TAILS)]
    said = "An interval is over three seeds, on MNIST at K = 0 to 2 over five; a number without one is of fewer seeds. "
    said += "Differences use only the seeds that both sides have, so they need not be those of the means."
    said += f" The schedules of INT8 and FP32 differ: at K = 2 INT8 sees {note}." if note else ""
    return "\n".join(markdown_rows(head, lines)) + f"\n\n{wrapped(said)}"


def told_together():
    """({name: the Difference of ZO and its control} of all that have an interval, the names of those that remain if all
    are judged at once)."""
    found = {f"{title}, {precision.upper()}, K = {k}": one for title, by_precision in of_full_training().items()
             for precision, cells in by_precision.items() for k, one in of_zo(cells).items() if one.half_width}
    chances = sorted((float(stats.ttest_1samp(list(one.by_seed.values()), 0).pvalue), name)
                     for name, one in found.items())
    kept = []
    for place, (chance, name) in enumerate(chances):   # Holm: the smallest first, until one is too large
        if chance * (len(chances) - place) > 1 - CONFIDENCE:
            break
        kept.append(name)
    return found, kept


def judged_together():
    """Which differences between ZO and its control remain if all that have an interval are judged at once."""
    found, kept = told_together()
    told = "; ".join(f"{name} ({found[name].short()})" for name in kept)
    fewer = [f"{name}: {Difference({seed: one.by_seed[seed] for seed in range(FEWEST)}).short()}"
             for name, one in found.items() if len(one.by_seed) > FEWEST]
    return wrapped(
        f"Each interval stands for itself. If the {len(found)} differences between ZO and its control that have one "
        f"are judged together (Holm's correction, 5 %), these can be told: {told or 'none'}. The rows that "
        f"a finding rests on, K = 0 to 2 on MNIST, have two seeds more than the others. With the first {FEWEST} alone "
        f"the differences are: {'; '.join(fewer)}.")


def limits():
    """Where INT8 is slower, where ZO adds nothing, small batches."""
    none, few, below, single = {}, {}, {}, {}
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            for k, one in of_zo(cells).items():
                if one.mean is None:
                    continue
                if one.half_width is None:
                    few.setdefault((title, precision), []).append(k)
                elif not one.is_told():
                    none.setdefault((title, precision), []).append(k)
                if one.mean < 0 and (one.half_width is None or one.is_told()):
                    (single if one.half_width is None else below).setdefault((title, precision), []).append(k)
    words = ((none, "No difference between ZO and its frozen control can be told on {}. "),
             (below, "ZO is below its control on {}. "), (few, "Too few seeds have run to decide on {}. "),
             (single, "In single runs ZO ended below its control on {}. "))
    said = "".join(text.format(places(found)) for found, text in words if found)
    smallest, clouds = port_ratios((1,), tails=(3,)), numpy_ratios("speed_pointnet", "pointnet_")
    slow = (f"At batches of 32 and 256 an INT8 step of LeNet-5 takes {range_of(numpy_ratios())} times as long as an "
            f"FP32 step, and one of PointNet {range_of(clouds)} times, as NumPy multiplies integers as int32. In C "
            f"INT8 is {faster(port_ratios(BATCHES))} at these batches, but a step of LeNet-5 at a batch of 1 with K = 3 "
            f"takes {range_of(smallest)} times as long.")
    return bullets((
        f"**ZO often adds nothing that can be told.** {said}Compare with `--zo-frozen` before you credit ZO with a "
        "gain.",
        f"**INT8 is slower than FP32 in NumPy.** {slow}", f"**Small batches.** {small_batches()}"))


def places(found):
    """'MNIST at K = 3 (INT8 and FP32); ..' of {(title, precision): [K]}."""
    by_tails = {}
    for (title, precision), tails in found.items():
        by_tails.setdefault((title, joined(list(map(str, tails)))), []).append(precision.upper())
    return "; ".join(f"{title} at K = {tails} ({joined(names)})" for (title, tails), names in by_tails.items())


def small_batches():
    """What a batch of one sample does to both scales of the tail's steps, and large ones to vanilla ZO."""
    result = {"rows": {}, **read_result(batch_rows.NAME)}
    mean = {name: {batch: f"{statistics.fmean(values):.2f} %" for batch, values in
                   batch_picture.accuracies(result, "mnist", f"int8-{scale}", k, False).items()}
            for name, scale, k in (("own", "own", 2), ("running", "running", 2), ("zero", "own", 0))}
    return (f"MNIST in INT8, four passes over {batch_rows.SAMPLES:,} images, K = 2, at a batch of 1: "
            f"{mean['own'].get(1, NOT_RUN)} with steps of the tail as they are tuned for larger batches; "
            f"{mean['running'].get(1, NOT_RUN)} with `--tail-scale running`, the default in batches of up to 4 images. "
            f"Vanilla ZO falls from {mean['zero'].get(1, NOT_RUN)} at a batch of 1 to "
            f"{mean['zero'].get(256, NOT_RUN)} at 256, where the same samples make 160 steps (one seed).")
