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
    """FP32 over INT8 of the port's steps, the smallest and the largest; None if not run."""
    found = [row["fp32 / int8"] for row in read_result("port_speed").get("port", [])
             if row["model"] == model and row["batch"] in batches and row["bp_tail"] in tails]
    return (min(found), max(found)) if found else None


def numpy_ratios():
    """The same of NumPy's steps."""
    found = [1 / ratio for name, ratio in read_result("speed").get("ratios", {}).items()
             if name.startswith("int8_over_fp32_k") and not name.startswith("int8_over_fp32_kall")]
    return (min(found), max(found)) if found else None


def range_of(ratios):
    return NOT_RUN if ratios is None else f"{ratios[0]:.2f} to {ratios[1]:.2f}"


def faster(ratios):
    """What a range of FP32 over INT8 says of INT8."""
    if ratios is None:
        return NOT_RUN
    return "faster" if ratios[0] > 1 else "slower" if ratios[1] < 1 else "not always faster"


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
    accuracy = ". ".join(
        f"{precision.upper()}: vanilla ZO (K = 0) {one(0).short()} %, ElasticZO at K = 2 {one(2).short()} %, full BP "
        f"{one(BP).short()} % ({one(2).seeds()})" for precision, one in cells.items() if one(2).by_seed) or NOT_RUN
    int8, zo = cells["int8"], {precision: of_zo(one) for precision, one in cells.items()}
    adds = joined([f"{one.short()} at K = {k}" for k, one in zo["int8"].items()])
    also = joined([one.short() for one in zo["fp32"].values()])
    return "\n".join(wrapped(text, indent="   ") for text in (
        f"1. **Accuracy, MNIST.** {accuracy}.",
        f"2. **Where the gain comes from.** In INT8, K = 2 gains {int8(2).difference(int8(0)).short()} points over "
        "vanilla ZO. Its tail alone, with all other layers left as they were initialised, gains "
        f"{int8(2, True).difference(int8(0)).short()}. Over this frozen control ZO adds {adds} (FP32: "
        f"{also}). {NO_DIFFERENCE}before a number: no difference, its interval holds zero.",
        f"3. **Memory and time.** {memory()} In [C](experiments/port_c99) INT8 is {faster(port_ratios(BATCHES))} at "
        f"batches of 32 and 256: a step of FP32 takes {range_of(port_ratios(BATCHES))} times as long. In NumPy INT8 is "
        f"{faster(numpy_ratios())}: its step takes {range_of(inverse(numpy_ratios()))} times as long as one of FP32."))


def memory():
    """What a step of K = 2 holds at batch 32 beside vanilla ZO, inference, full BP and FP32."""
    rows = cost_tables.memory_rows()
    wanted = [("int8", 32, 0, False), ("int8", 32, 2, False), ("int8", 32, BP, False), ("fp32", 32, 2, False)]
    if not all(key in rows for key in wanted):
        return NOT_RUN
    zero, two, full, fp32 = (f"{rows[key]['measured'] / 1000:,.0f} kB" for key in wanted)
    more = read_result("speed").get("ratios", {}).get("zo_over_inference_int8")
    alone = "" if more is None else f", {100 * more:.2f} % more than inference"
    return (f"At a batch of 32 a step of K = 2 in INT8 holds {two}, weights and images included; vanilla ZO holds "
            f"{zero}{alone}, full BP {full}, and K = 2 in FP32 {fp32}.")


def added():
    """What ZO adds: K = 2 beside vanilla ZO and full BP, and every K beside its control."""
    lines, times = [], {}
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            if cells(2).by_seed:
                seen = times_the_samples(cells(2), cells(0))
                lines.append([f"{title}, {precision.upper()}", cells(0).short(), cells(2).short(), cells(BP).short(),
                              cells(2).difference(cells(0)), f"{seen} as many" if seen else "the same",
                              *of_zo(cells).values()])
        if found := times_the_samples(*(by_precision[precision](2) for precision in PRECISIONS)):
            times.setdefault(found, []).append(title)
    note = "; ".join(f"{found} as many on {joined(titles)}" for found, titles in times.items())
    head = ["accuracy, %", "K = 0", "K = 2", "full BP", "K = 2 over K = 0", "samples K = 2 sees, beside K = 0",
            *(f"K = {k} over its control" for k in TAILS)]
    said = f"\n\n{wrapped(f'At K = 2 INT8 sees other numbers of samples than FP32: {note}.')}" if note else ""
    return "\n".join(markdown_rows(head, lines)) + said


def limits():
    """Where INT8 is slower, where ZO adds nothing, small batches."""
    none, one_seed = [], {}
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            zo = of_zo(cells)
            if same := [f"{k}" for k, one in zo.items() if one.half_width is not None and not one.is_told()]:
                none.append(f"K = {joined(same)} on {title} in {precision.upper()}")
            if any(len(one.by_seed) == 1 for one in zo.values()):
                one_seed.setdefault(title, []).append(precision.upper())
    nothing = f"No difference between ZO and its frozen control can be told at {'; '.join(none)}. " if none else ""
    single = "; ".join(f"{title} in {joined(names)}" for title, names in one_seed.items())
    open_ = f"One seed alone, which decides nothing: {single}. " if single else ""
    smallest = port_ratios((1,), tails=(3,))
    slow = (f"In NumPy a step of INT8 takes {range_of(inverse(numpy_ratios()))} times as long as one of FP32, as NumPy "
            f"multiplies integers as int32. In C it is {faster(port_ratios(BATCHES))} at batches of 32 and 256, and "
            f"{faster(smallest)} at a batch of 1 and K = 3, where FP32 takes {range_of(smallest)} times as long.")
    return bullets((
        f"**ZO often adds nothing.** {nothing}{open_}Compare with `--zo-frozen` before you thank ZO.",
        f"**INT8 is slower than FP32 here.** {slow}", f"**Small batches.** {small_batches()}"))


def inverse(ratios):
    return ratios and (1 / ratios[1], 1 / ratios[0])


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
