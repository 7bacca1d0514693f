"""What the README says was found: three lines, a table of what ZO adds, and the limits.

Every number is of the results; what is said of a difference follows from its interval.
"""
import statistics
import textwrap

from experiments import batch_picture, batch_rows, cost_tables
from experiments.cells import NO_DIFFERENCE, NOT_RUN, markdown_rows, times_the_samples, training_cells
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


def numpy_ratios():
    """The same of NumPy's steps."""
    found = [ratio for name, ratio in read_result("speed").get("ratios", {}).items()
             if name.startswith("int8_over_fp32_k") and not name.startswith("int8_over_fp32_kall")]
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
    zo = {precision: of_zo(one) for precision, one in cells.items()}
    added = joined([f"{one.short()} at K = {k} (FP32 {zo['fp32'][k].short()})" for k, one in zo["int8"].items()])
    return "\n".join(wrapped(text, indent="   ") for text in (
        f"1. **Accuracy**, LeNet-5 on MNIST, in integers (in brackets: in FP32): {accuracy}; {int8(2).seeds()}, full "
        f"BP {int8(BP).seeds()}. {samples_seen(int8, fp32)}",
        f"2. **Where the gain comes from: {source_of_the_gain(int8)}.** K = 2 is {int8(2).difference(int8(0)).short()} "
        f"points above vanilla ZO. Its frozen control, whose tail alone is trained while all other layers stay as they "
        f"were initialised, is {int8(2, True).difference(int8(0)).short()} above it. So ZO adds {added}. "
        f"{NO_DIFFERENCE}marks a difference that these seeds cannot tell from none. {on_clouds()}",
        f"3. **Memory and time.** {memory()} {time()}"))


def samples_seen(int8, fp32):
    """How the schedules of K = 2 differ in length from those beside them."""
    beside = times_the_samples(int8(2), fp32(2)), times_the_samples(int8(2), int8(0))
    return f"INT8 at K = 2 sees {beside[0] or '1.00 times'} the samples of FP32, and {beside[1]} those of K = 0."


def on_clouds():
    """In how many cases of point clouds K = 2 is below its control."""
    found = [cells(2).difference(cells(2, True)) for title, by_precision in of_full_training().items()
             if title.startswith("ModelNet") for cells in by_precision.values()]
    found = [one for one in found if one.mean is not None]
    below = sum(one.mean < 0 for one in found)
    few = " (one seed each)" if all(len(one.by_seed) == 1 for one in found) else ""
    return f"On point clouds K = 2 is below its control in {below} of {len(found)} cases{few}." if found else ""


def source_of_the_gain(cells):
    """In words: whether most of what K = 2 gains over vanilla ZO is the tail's."""
    gain, tail = cells(2).difference(cells(0)).mean, cells(2, True).difference(cells(0)).mean
    if gain is None or tail is None:
        return NOT_RUN
    return "mostly the tail" if tail > gain / 2 else "mostly ZO"


def memory():
    """What a step of K = 2 holds beside inference, full BP and FP32, at batches of 32 and 1."""
    rows, ratios = cost_tables.memory_rows(), read_result("speed").get("ratios", {})
    held = {key: f"{row['measured'] / 1000:,.0f} kB" for key, row in rows.items() if not key[3]}
    more = {batch: ratios.get(f"zo_over_inference_int8{end}") for batch, end in ((32, ""), (1, "_b1"))}
    wanted = [("int8", 32, 2, False), ("int8", 1, 2, False), ("int8", 32, BP, False), ("fp32", 32, 2, False)]
    if None in more.values() or not all(key in held for key in wanted):
        return NOT_RUN
    two, single, full, fp32 = (held[key] for key in wanted)
    return (f"An INT8 step at any K from 0 to 3 holds {two} at a batch of 32, weights and images included: "
            f"{100 * more[32]:.2f} % more than inference on that batch. At a batch of 1 it is {single}, "
            f"{100 * more[1]:.1f} % more. Full BP in INT8 holds {full} at a batch of 32, and K = 2 in FP32 {fp32}.")


def time():
    """How long a step takes: INT8 beside FP32, in C and in NumPy, and K = 2 beside full BP."""
    ratio = of_full_bp()
    beside = "" if ratio is None else f", and a step of K = 2 {ratio:.2f} times as long as one of full BP in INT8"
    return (f"[In C](experiments/port_c99) INT8 is {faster(port_ratios(BATCHES))} at batches of 32 and 256: its step "
            f"takes {range_of(port_ratios(BATCHES))} times as long as that of FP32 (at a batch of 1 with K = 3, "
            f"{range_of(port_ratios((1,), tails=(3,)))}). In NumPy, at batches of 32 and 256 too, INT8 is "
            f"{faster(numpy_ratios())}: its step takes {range_of(numpy_ratios())} times as long as that of "
            f"FP32{beside}.")


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
    note = "; ".join(f"{found} as many samples on {joined(titles)}" for found, titles in times.items())
    head = ["accuracy, %", "K = 0", "K = 2", "full BP", "K = 2 over K = 0", "samples that K = 2 sees, beside K = 0",
            *(f"K = {k} over its control" for k in TAILS)]
    said = f"\n\n{wrapped(f'INT8 and FP32 have schedules of their own. At K = 2 INT8 sees {note}.')}" if note else ""
    return "\n".join(markdown_rows(head, lines)) + said


def limits():
    """Where INT8 is slower, where ZO adds nothing, small batches."""
    none, few, below = [], {}, []
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            zo, where = of_zo(cells), f"{title} in {precision.upper()}"
            if same := [f"{k}" for k, one in zo.items() if one.half_width is not None and not one.is_told()]:
                none.append(f"K = {joined(same)} on {where}")
            if any(one.mean is not None and one.half_width is None for one in zo.values()):
                few.setdefault(title, []).append(precision.upper())
            below += [f"K = {k} on {where}" for k, one in zo.items() if one.mean is not None and one.mean < 0]
    nothing = f"No difference between ZO and its frozen control can be told at {'; '.join(none)}. " if none else ""
    single = "; ".join(f"{title} in {joined(names)}" for title, names in few.items())
    open_ = f"Too few seeds have run to decide on {single}. " if single else ""
    open_ += f"ZO is below its control at {'; '.join(below)}. " if below else ""
    smallest = port_ratios((1,), tails=(3,))
    slow = (f"At batches of 32 and 256 an INT8 step takes {range_of(numpy_ratios())} times as long as an FP32 step, as "
            f"NumPy multiplies integers as int32. In C it is {faster(port_ratios(BATCHES))} there, but at a batch of 1 "
            f"with K = 3 it takes {range_of(smallest)} times as long.")
    return bullets((
        f"**ZO often adds nothing that can be told.** {nothing}{open_}Compare with `--zo-frozen` before you thank ZO.",
        f"**INT8 is slower than FP32 in NumPy.** {slow}", f"**Small batches.** {small_batches()}"))


def small_batches():
    """What a batch of one sample does to both scales of the tail's steps, and large ones to vanilla ZO."""
    result = {"rows": {}, **read_result(batch_rows.NAME)}
    mean = {name: {batch: f"{statistics.fmean(values):.2f} %" for batch, values in
                   batch_picture.accuracies(result, "mnist", f"int8-{scale}", k, False).items()}
            for name, scale, k in (("own", "own", 2), ("running", "running", 2), ("zero", "own", 0))}
    return (f"Four passes over {batch_rows.SAMPLES:,} images, K = 2, at a batch of 1: {mean['own'].get(1, NOT_RUN)} if "
            f"every step of the tail has full size, {mean['running'].get(1, NOT_RUN)} with `--tail-scale running`, the "
            f"default in batches of up to 4 images. Vanilla ZO has so few steps with large batches that it falls from "
            f"{mean['zero'].get(1, NOT_RUN)} at 1 to {mean['zero'].get(256, NOT_RUN)} at 256.")
