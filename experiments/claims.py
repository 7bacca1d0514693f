"""The claims of the paper's abstract one by one: claimed, ours, whether it is met, and if not, why."""
from experiments import cost_tables
from experiments.cells import (
    FEWEST, NO_DIFFERENCE, NOT_RUN, ONE_SEED, TAILS, Cell, cell, markdown_rows, name_of, times_the_samples,
    training_cells)
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import DATA_SETS, DEGREES, PRECISIONS
from experiments.tables import CLAIMED_GAIN, clouds_adapted, of_full_training

BATCHES = (32, 256)


def listed(differences):
    """'+5.66 +- 0.90, +9.62 +- 1.70 (3 seeds)' of {K: Difference}; with its K after each where one has not run."""
    found = {k: one for k, one in differences.items() if one.mean is not None}
    if not found:
        return NOT_RUN
    counts = {len(one.by_seed) for one in found.values()}
    name = {k: f" ({name_of(k)})" * (len(found) < len(differences) or len(found) == 1) for k in found}
    if len(counts) > 1:
        return ", ".join(f"{one.short()}{name[k]} ({len(one.by_seed)})" for k, one in found.items()) + " seeds"
    seeds = ONE_SEED if counts == {1} else f"{counts.pop()} seeds"
    return ", ".join(f"{one.short()}{name[k]}" for k, one in found.items()) + f" ({seeds})"


def verdict(difference, least):
    """Whether a difference is at least so many points: yes or no where its whole interval says so, else open."""
    if difference.mean is None:
        return NOT_RUN
    if difference.half_width is None:
        return "open"
    if difference.mean - difference.half_width >= least:
        return "yes"
    return "no" if difference.mean + difference.half_width < least else "open"


def told(verdicts):
    """{precision: verdicts} as words, with those that have not run left out."""
    return "; ".join(f"{precision.upper()} {', '.join(words)}" for precision, found in verdicts.items()
                     if (words := [word for word in found if word != NOT_RUN])) or NOT_RUN


def gain_line(name, by_precision, why_not):
    """A line of the claims: gains over vanilla ZO.  by_precision: {precision: {K: Cell}}, K = 0 among them."""
    least = float(CLAIMED_GAIN.split()[0])
    gains = {precision: {k: one.difference(cells[0]) for k, one in cells.items() if k}
             for precision, cells in by_precision.items()}
    verdicts = {precision: [verdict(one, least) for one in found.values()] for precision, found in gains.items()}
    words = [word for found in verdicts.values() for word in found]
    single = any(0 < len(one.by_seed) < FEWEST for found in gains.values() for one in found.values())
    ends = [f"{precision.upper()} K = {k}: {one.mean - one.half_width:.2f} to {one.mean + one.half_width:.2f}"
            for precision, found in gains.items() for k, one in found.items()
            if one.half_width is not None and verdict(one, least) != "yes"]
    reasons = ends + [why_not] * ("no" in words) + ["too few seeds"] * single
    seen = "; ".join(f"{precision.upper()} {', '.join(times)}" for precision, cells in by_precision.items() if any(
        times := [times_the_samples(one, cells[0]) or "as many" for k, one in cells.items() if k and one.by_seed]))
    return [name, f"{CLAIMED_GAIN} points", *(listed(gains[precision]) for precision in PRECISIONS), told(verdicts),
            "; ".join(reasons) or NOT_RUN, seen.replace(" times", "") if "times" in seen else "as many"]


def claims():
    """The abstract's claims, ours beside them, and whether they are met."""
    lines = [gain_line(f"over vanilla ZO, {title}", {precision: {k: one(k) for k in (0, 1, 2, 3)} for precision, one
                                                     in cells.items()}, "the tail alone does not suffice")
             for title, cells in of_full_training().items()]
    longer = {"int8": training_cells("longer"), "fp32": lambda k: Cell({})}
    lines.append(gain_line("the same with several times the epochs, MNIST (table `longer`)", {
        precision: {k: of(k) for k in (0, 1, 2)} for precision, of in longer.items()},
        "vanilla ZO gains most by more steps"))
    enough = "vanilla ZO is given many steps here, and regains most itself"
    lines += [gain_line(f"the same, fine-tuning, {TITLES[data]} turned by {degrees} degrees", {
        precision: {k: cell("fine-tuning", f"{data}-{precision}-{degrees}-k{k}", "all") for k in (0, 1, 2)}
        for precision in PRECISIONS}, enough) for data in DATA_SETS for degrees in DEGREES]
    for table, words in (("tilt", "tilted by 20 degrees"), ("jitter", "with noise")):
        adapted = {precision: clouds_adapted(read_result(f"pointnet_{table}_p256"), precision)
                   for precision in PRECISIONS}
        lines.append(gain_line(f"the same, fine-tuning, ModelNet10 {words}", {
            precision: {0: cells["k0"], 2: cells["k2"]} for precision, cells in adapted.items()}, enough))
    lines += [*cost_lines(), *precision_lines()]
    return "\n".join(markdown_rows(["claim", "claimed", "here, INT8: K = 1, 2, 3", "here, FP32: K = 1, 2, 3", "met",
                                    "if not, why", "times the samples of the other side"],
                                   [line for line in lines if line[2:4] != [NOT_RUN, NOT_RUN]]))


def cost_lines():
    """Memory and time: counted bytes, the same every time, and ratios of medians; there are no seeds."""
    rows, ratios = cost_tables.memory_rows(), read_result("speed").get("ratios", {})
    over = {precision: [cost_tables.overhead(rows, precision, 32, k) for k in (1, 2, 3)] for precision in PRECISIONS}
    most = float(cost_tables.CLAIMED_OVERHEAD.split()[2])
    if all(value is not None for values in over.values() for value in values):
        met = all(value <= most for values in over.values() for value in values)
        yield ["memory over vanilla ZO, %, batch 32 (counted bytes, no seeds)", cost_tables.CLAIMED_OVERHEAD,
               *(", ".join(f"{value:+.2f}" for value in over[precision]) for precision in PRECISIONS),
               "yes, less" if met else "no", NOT_RUN, NOT_RUN]
    yield from ratio_line("memory, FP32 over INT8, K = 1 (counted bytes, no seeds)", cost_tables.CLAIMED_MEMORY, {
        f"batch {batch}": cost_tables.memory_ratio(rows, batch, 1) for batch in BATCHES}, "")
    times = {f"batch {batch}": ratios.get(f"int8_over_fp32_k1_b{batch}") for batch in BATCHES}
    yield from ratio_line("time, FP32 over INT8, K = 1, NumPy (medians)", cost_tables.CLAIMED_TIME, {
        name: 1 / ratio for name, ratio in times.items() if ratio}, "NumPy multiplies integers as int32")
    port = {f"batch {row['batch']}": row["fp32 / int8"] for row in read_result("port_speed").get("port", [])
            if (row["model"], row["bp_tail"], row["flags"]) == ("lenet5", 1, "native") and row["batch"] in BATCHES}
    yield from ratio_line("the same, the C port, flags native (medians)", cost_tables.CLAIMED_TIME, port, "")


def ratio_line(name, claimed, values, why_not):
    """values: {what it is of: FP32 over INT8}; those that are None have not run."""
    found, least = {key: value for key, value in values.items() if value}, float(claimed.split()[0])
    if found:
        met = all(value >= least for value in found.values())
        yield [name, claimed, ", ".join(f"{value:.2f} ({key})" for key, value in found.items()), NOT_RUN,
               "yes" if met else "no", NOT_RUN if met else why_not or NOT_RUN, NOT_RUN]


def precision_lines():
    """Whether INT8 loses accuracy, by the differences to FP32."""
    for title, cells in of_full_training().items():
        differences = {k: cells["int8"](k).difference(cells["fp32"](k)) for k in TAILS}
        if not any(one.mean is not None for one in differences.values()):
            continue
        words = [verdict_of_loss(one) for one in differences.values()]
        seen = [times_the_samples(cells["int8"](k), cells["fp32"](k)) for k in TAILS if differences[k].by_seed]
        yield [f"INT8 less FP32, {title}, K = 0, 1, 2, 3, full BP", "no loss of accuracy", listed(differences), NOT_RUN,
               ", ".join(word for word in words if word != NOT_RUN),
               "too few seeds" if any(0 < len(one.by_seed) < FEWEST for one in differences.values()) else NOT_RUN,
               ", ".join(times.removesuffix(" times") or "as many" for times in seen) if any(seen) else "as many"]


def verdict_of_loss(difference):
    """Whether there is no loss: the mark of no difference where the interval holds zero."""
    if difference.half_width is None:
        return NOT_RUN if difference.mean is None else "open"
    return NO_DIFFERENCE.strip() if not difference.is_told() else "yes" if difference.mean > 0 else "no"
