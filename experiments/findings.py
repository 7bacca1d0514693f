"""What the README says was found: three lines, what they rest on, and a table of what ZO adds.

Every number is of the results; what is said of a difference follows from its interval.
"""
import textwrap

from scipy import stats

from experiments import cost_tables, equal_samples
from experiments.cells import (
    CONFIDENCE, FEWEST, NOT_RUN, Difference, table_of, times_the_samples, training_cells)
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


def of_zo_in_both(cells, k):
    """{precision: the Difference that ZO makes at K}.  cells: {precision: cells}."""
    return {precision: of_zo(one)[k] for precision, one in cells.items()}


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
    return "\n".join(wrapped(text, indent="   ") for text in (
        f"1. **Accuracy** of LeNet-5 on MNIST, in integers (in brackets: in FP32): {accuracy}.",
        f"2. **The gain of K = 2 comes {source_of_the_gain(int8)}.** In integers it is "
        f"{int8(2).difference(int8(0)).short()} points above vanilla ZO. Training the tail alone, with all other "
        f"layers left as they were drawn (the frozen control), already gives "
        f"{int8(2, True).difference(int8(0)).short()}. ZO adds the rest: "
        f"{of_each_precision(of_zo_in_both(cells, 2))}{as_one_of_many()}. {on_clouds()}",
        f"3. **Memory and time.** {memory()} {time()}"))


def details():
    """What the three lines rest on: seeds, lengths, other tails, all differences at once, bytes, a device."""
    cells = {precision: training_cells(f"mnist-{precision}") for precision in PRECISIONS}
    int8, fp32 = cells["int8"], cells["fp32"]
    adds = {k: of_each_precision(of_zo_in_both(cells, k)) for k in (1, 3)}
    return bullets(filter(None, (
        f"**Seeds and lengths.** MNIST at K = 0 to 2 has {int8(2).seeds()}, all else three where it does not say "
        f"otherwise. {samples_seen(int8, fp32)}",
        f"**Other tails.** At K = 1 ZO adds {adds[1]}, at K = 3 {adds[3]}.", taken_together(), held(), of_full_bp(),
        on_a_device())))


def samples_seen(int8, fp32):
    """How long the runs are."""
    epochs = {k: [cells(k).schedule()[0] for cells in (int8, fp32)] for k in (0, 2, BP)}
    lengths = [f"{epochs[k][0]} ({epochs[k][1]}) {name}" for k, name in (
        (0, "at K = 0"), (2, "at K = 2"), (BP, "of full BP"))]
    short = equal_samples.of_image("mnist", "int8", 0, epochs[2][0])
    equal = f" At the same number of samples K = 2 is {int8(2).difference(short)} points above vanilla ZO in INT8."
    return f"Epochs on MNIST in INT8 (in FP32): {', '.join(lengths)}.{equal * bool(short.by_seed)}"


def as_one_of_many():
    """Whether the gain of K = 2 on MNIST in INT8 remains if all are judged at once, in words."""
    found, kept = told_together()
    name = "MNIST, INT8, K = 2"
    lost = name in found and found[name].is_told() and name not in kept
    return f"; corrected for all {len(found)} comparisons made here, that is no longer certain" if lost else ""


def taken_together():
    """Which gains of ZO remain if all are judged at once."""
    found, kept = told_together()
    lost = [name for name, one in found.items() if one.is_told() and name not in kept]
    return (f"**All comparisons together.** ZO was compared with its control in {len(found)} cases with three seeds or "
            f"more. [Corrected](experiments/README.md#what-was-found) for so many, these differences remain: "
            f"{'; '.join(kept) or 'none'}. These do not, though each does for itself: {'; '.join(lost) or 'none'}. In "
            f"the other {len(found) - len(kept) - len(lost)} no difference was found.") if found else ""


def on_clouds():
    """Where K = 2 is told above or below its control on point clouds."""
    found = {f"{title.partition(',')[0]} in {precision.upper()}": of_zo(cells)[2]
             for title, by_precision in of_full_training().items() if title.startswith("ModelNet")
             for precision, cells in by_precision.items()}
    told = {name: one for name, one in found.items() if one.is_told()}
    above, below = ([f"{name} ({one.short()})" for name, one in told.items() if (one.mean > 0) == up]
                    for up in (True, False))
    gain = f"ZO adds to K = 2 on {', '.join(above)}" if above else "we found no gain from ZO at K = 2"
    return f"On point clouds {gain}" + (f"; on {', '.join(below)} it is below its control." if below else ".")


def source_of_the_gain(cells):
    """In words: whether most of what K = 2 gains over vanilla ZO is the tail's."""
    gain, tail = cells(2).difference(cells(0)).mean, cells(2, True).difference(cells(0)).mean
    if gain is None or tail is None:
        return NOT_RUN
    return "mostly from the tail" if tail > gain / 2 else "mostly from ZO"


def memory():
    """How much more a step of K = 2 holds than inference, in words."""
    rows = cost_tables.memory_rows()
    more = {batch: 100 * (row["measured"] / idle - 1) for batch in (32, 1) if (row := rows.get((
        "int8", batch, 2, False))) and (idle := rows.get(("int8", batch, 0, False), {}).get("inference"))}
    if len(more) < 2:
        return NOT_RUN
    return (f"A step of K = 2 holds {more[32]:.1f} % more memory than inference at a batch of 32, and {more[1]:.1f} % "
            "more at 1.")


def held():
    """The bytes of a step of K = 2, of full BP and of FP32."""
    rows = cost_tables.memory_rows()
    wanted = [("int8", 32, 2, False), ("int8", 1, 2, False), ("int8", 32, BP, False), ("fp32", 32, 2, False)]
    if not all(key in rows for key in wanted):
        return ""
    two, single, full, fp32 = (f"{rows[key]['measured'] / 1000:,.0f} kB" for key in wanted)
    return (f"**Bytes.** An INT8 step of K = 2 holds {two} at a batch of 32, weights and images included, as measured "
            f"in NumPy; {single} at a batch of 1. Full BP in INT8 holds {full} at a batch of 32, K = 2 in FP32 {fp32}.")


def time():
    """How long an INT8 step takes beside one of FP32, in NumPy and in C."""
    most = port_ratios((1,), tails=(3,))
    usual = [*filter(None, (port_ratios(BATCHES), port_ratios((1,), tails=(0, 1, 2))))]
    in_c = (min(low for low, _ in usual), max(high for _, high in usual)) if usual else None
    return (f"An INT8 step of LeNet-5 is {faster(numpy_ratios())} than an FP32 step in NumPy: "
            f"{range_of(numpy_ratios())} times as long. [In C](experiments/port_c99) it is {faster(in_c)}: "
            f"{range_of(in_c)} times as long, except at a batch of 1 with K = 3 ({range_of(most)}).")


def of_full_bp():
    """An INT8 step of K = 2 beside one of full BP, in NumPy at batch 32."""
    steps = {step["bp_tail"]: step["microseconds_an_image"] for step in read_result("speed").get("steps", [])
             if step["precision"] == "int8" and step["batch"] == 32}
    return (f"**K = 2 beside full BP.** In NumPy, in INT8, at a batch of 32, a step of K = 2 takes "
            f"{steps[2] / steps[BP]:.2f} times as long.") if {2, BP} <= steps.keys() else ""


def on_a_device():
    """What the exported program takes of a core without an operating system; nothing if that has not run."""
    row = read_result("port_machines").get("cortex_m")
    return "" if not row else (
        f"**A small core.** The exported C program makes a step at a batch of 1 in {row['instructions'] / 1e6:.1f} "
        f"million instructions of a {row['machine']} (emulated), in {row['flash'] / 1000:.0f} kB of flash and "
        f"{(row['static'] + row['stack']) / 1000:.0f} kB of RAM: it wants one of the larger chips with this core.")


def added(tails=(2,)):
    """What ZO adds: K = 2 beside vanilla ZO and full BP, and some K beside their controls."""
    lines, times = [], {}
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            if cells(2).by_seed:
                seen = times_the_samples(cells(2), cells(0)) or "as many"
                lines.append([f"{title}, {precision.upper()}", cells(0).short(), cells(2).short(), cells(BP).short(),
                              cells(2).difference(cells(0)), seen.removesuffix(" times"),
                              *(of_zo(cells)[k] for k in tails)])
        if found := times_the_samples(*(by_precision[precision](2) for precision in PRECISIONS)):
            times.setdefault(found, []).append(title)
    note = joined([f"{found} as many samples on {joined(titles)}" for found, titles in times.items()])
    head = ["accuracy, %", "K = 0", "K = 2", "full BP", "K = 2 over K = 0", "samples: K = 2 / K = 0",
            *(f"K = {k} over its control" for k in tails)]
    said = "Three seeds, on MNIST at K = 0 to 2 five."
    if any("+-" not in str(number) for line in lines for number in line[1:5] + line[6:]):
        said += " A number without +- is of one or two seeds."
    said += f" The schedules of INT8 and FP32 differ: at K = 2 INT8 sees {note}." if note else ""
    return table_of(head, lines) + f"\n\n{wrapped(said)}"


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
