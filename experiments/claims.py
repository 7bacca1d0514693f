"""The claims of the paper's abstract one by one: claimed, ours, how it is measured, whether it is met, if not, why."""
from typing import NamedTuple

from experiments import cost_tables, equal_samples
from experiments.cells import (
    NO_DIFFERENCE, NOT_RUN, TAILS, Table, cell, folded, markdown_rows, name_of, note_lines, seeds_of, times_the_samples,
    training_cells)
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import DATA_SETS, DEGREES, PRECISIONS
from experiments.tables import CLAIMED_GAIN, clouds_adapted, of_full_training

BATCHES = (32, 256)
LEAST_GAIN = float(CLAIMED_GAIN.split()[0])
MEASURED = "last epoch, whole test set"


class Line(NamedTuple):
    """One comparison with a claim.  value: ours as a number, None if it has not run.  form: how it is shown alone."""
    claim: str
    place: str
    of: str
    claimed: str
    value: float | None
    ours: str
    how: str
    met: str
    why: str = ""
    form: str = "{:+.2f}"

    def name(self):
        return f"{self.place}, {self.of}"


def verdict(difference, least):
    """Whether a difference is at least so many points: yes or no where its whole interval says so, else open."""
    if difference.mean is None:
        return NOT_RUN
    if difference.half_width is None:
        return "open"
    if difference.mean - difference.half_width >= least:
        return "yes"
    return "no" if difference.mean + difference.half_width < least else "open"


def verdict_of_loss(difference):
    """Whether there is no loss: the mark of no difference where the interval holds zero."""
    if difference.half_width is None:
        return NOT_RUN if difference.mean is None else "open"
    return NO_DIFFERENCE.strip() if not difference.is_told() else "yes" if difference.mean > 0 else "no"


def with_seeds(measured):
    """'+5.88 +- 1.16 (5 seeds)' of a Difference or of a Cell."""
    return f"{measured.short()} ({seeds_of(measured.by_seed)})"


def reason(difference, least, word):
    """What the interval says where the verdict is not yes."""
    if word in ("yes", NOT_RUN):
        return ""
    if difference.half_width is None:
        return f"Only {seeds_of(difference.by_seed)}: too few for an interval."
    low, high = difference.mean - difference.half_width, difference.mean + difference.half_width
    if word == "no":
        return f"The whole interval, {low:.2f} to {high:.2f}, is below {least:g}."
    return f"The interval, {low:.2f} to {high:.2f}, holds {least:g}."


def sentences(*texts):
    """Those that are not empty, one after the other."""
    return " ".join(text for text in texts if text)


def samples(here, other):
    return f"{times_the_samples(here, other) or 'as many'} samples".replace("times samples", "times the samples")


def gain_lines(claim, title, by_precision, why_not):
    """Gains over vanilla ZO.  by_precision: {precision: {K: Cell}}, K = 0 among them.  why_not: said of every "no"."""
    for precision, cells in by_precision.items():
        for k, here in cells.items():
            if k:
                gain = here.difference(cells[0])
                met = verdict(gain, LEAST_GAIN)
                yield Line(claim, f"{title}, {precision.upper()}", name_of(k), f"{CLAIMED_GAIN} points", gain.mean,
                           with_seeds(gain), f"less K = 0, paired by seed, {MEASURED}, {samples(here, cells[0])}", met,
                           sentences(reason(gain, LEAST_GAIN, met), why_not * (met == "no")))


def longer_cells(precision):
    """A function of K that gives the Cell of several times the epochs on MNIST; those of FP32 may not have run."""
    return training_cells("longer" if precision == "int8" else "longer-fp32")


def accuracy_lines():
    """Gains over vanilla ZO: full training, longer, and fine-tuning."""
    for title, cells in of_full_training().items():
        yield from gain_lines("over vanilla ZO, full training", title, {
            precision: {k: one(k) for k in (0, 1, 2, 3)} for precision, one in cells.items()},
            "The tail alone does not suffice.")
    yield from gain_lines("over vanilla ZO, more epochs (table `longer`)", "MNIST", {
        precision: {k: longer_cells(precision)(k) for k in (0, 1, 2)} for precision in PRECISIONS},
        "Vanilla ZO gains most by more steps.")
    tuned = "over vanilla ZO, fine-tuning"
    enough = "Vanilla ZO is given many steps here, and regains most itself."
    for data in DATA_SETS:
        for degrees in DEGREES:
            yield from gain_lines(tuned, f"{TITLES[data]} turned by {degrees} degrees", {
                precision: {k: cell("fine-tuning", f"{data}-{precision}-{degrees}-k{k}", "all") for k in (0, 1, 2)}
                for precision in PRECISIONS}, enough)
    for table, words in (("tilt", "tilted by 20 degrees"), ("jitter", "with noise")):
        adapted = {precision: clouds_adapted(read_result(f"pointnet_{table}_p256"), precision)
                   for precision in PRECISIONS}
        yield from gain_lines(tuned, f"ModelNet10 {words}", {
            precision: {0: cells["k0"], 2: cells["k2"]} for precision, cells in adapted.items()}, enough)


def cost_lines():
    """Memory and time: counted bytes, the same every time, and ratios of times; there are no seeds."""
    rows, least, most = cost_tables.memory_rows(), *map(float, cost_tables.CLAIMED_OVERHEAD.split()[:3:2])
    for precision in PRECISIONS:
        for k in (1, 2, 3):
            value = cost_tables.overhead(rows, precision, 32, k)
            met = NOT_RUN if value is None else "no" if value > most else "yes" if value >= least else "yes, less"
            yield Line("memory over vanilla ZO", f"LeNet-5, {precision.upper()}", name_of(k),
                       cost_tables.CLAIMED_OVERHEAD, value, cost_tables.shown(value, "{:+.2f} %"),
                       "counted bytes at the peak of a step, batch 32", met, form="{:+.2f} %")
    for batch in BATCHES:
        yield ratio_line("memory, FP32 over INT8", batch, cost_tables.CLAIMED_MEMORY,
                         cost_tables.memory_ratio(rows, batch, 1), "counted bytes at the peak of a step")
    for batch in BATCHES:
        yield ratio_line("time, FP32 over INT8, NumPy", batch, cost_tables.CLAIMED_TIME, *numpy_time(batch),
                         "NumPy multiplies integers as int32.")
    for batch in BATCHES:
        yield ratio_line("time, FP32 over INT8, the port in C99", batch, cost_tables.CLAIMED_TIME, *port_time(batch))


def ratio_line(claim, batch, claimed, value, how, why_not=""):
    """A Line of FP32 over INT8 at K = 1.  value: None if it has not run."""
    met = NOT_RUN if value is None else "yes" if value >= float(claimed.split()[0]) else "no"
    return Line(claim, "LeNet-5, K = 1", f"batch {batch}", claimed, value, cost_tables.shown(value), how, met,
                why_not * (met == "no"), "{:.2f}")


def numpy_time(batch):
    """FP32 over INT8 of NumPy's step at K = 1, None if not run, and how it is measured, with the quartiles."""
    speed = read_result("speed")
    ratio = speed.get("ratios", {}).get(f"int8_over_fp32_k1_b{batch}")
    spreads = {step["precision"]: step["spread"] for step in speed.get("steps", [])
               if (step["bp_tail"], step["batch"]) == (1, batch)}
    quartiles = ", ".join(f"{precision.upper()} {spreads[precision][0]:.2f} to {spreads[precision][1]:.2f}"
                          for precision in PRECISIONS if precision in spreads)
    how = f"median of {speed.get('rounds')} ratios, one thread, NumPy; quartiles of the times, by their median: "
    return 1 / ratio if ratio else None, how + quartiles


def port_time(batch):
    """The same of the port's step, with native flags; its quartiles are not kept."""
    row = next((row for row in read_result("port_speed").get("port", []) if (row["model"], row["bp_tail"], row["batch"],
                row["flags"]) == ("lenet5", 1, batch, "native")), None)
    return (row["fp32 / int8"], f"medians of {row['steps']:,} steps, one thread, flags native; no quartiles"
            ) if row else (None, "")


def precision_lines():
    """Whether INT8 loses accuracy, by the differences to FP32."""
    for title, cells in of_full_training().items():
        for k in TAILS:
            int8, fp32 = (cells[precision](k) for precision in ("int8", "fp32"))
            loss = int8.difference(fp32)
            met = verdict_of_loss(loss)
            cause = of_controls(cells, k) or "The cause is not known."
            yield Line("INT8 less FP32", title, name_of(k), "no loss of accuracy", loss.mean, with_seeds(loss),
                       f"paired by seed, {MEASURED}, {samples(int8, fp32)}", met,
                       sentences(reason(loss, 0, met), cause * (met == "no")))


def equal_lines():
    """The same of gains and losses whose two sides see different numbers of samples, at the same number."""
    not_tuned = "The schedule of the row trained anew was tuned for other numbers of epochs."
    for found in equal_samples.comparisons():
        difference = found.difference()
        if found.precision:
            claim, claimed = "over vanilla ZO", f"{CLAIMED_GAIN} points"
            place = f"{found.data}, {found.precision.upper()}"
            least, met = LEAST_GAIN, verdict(difference, LEAST_GAIN)
        else:
            claim, claimed, place = "INT8 less FP32", "no loss of accuracy", found.data
            least, met = 0, verdict_of_loss(difference)
        yield Line(f"{claim}, equal samples", place, name_of(found.k), claimed, difference.mean, with_seeds(difference),
                   f"paired by seed, {MEASURED}, as many samples", met,
                   sentences(reason(difference, least, met), not_tuned * (met == "no")))


def of_controls(cells, k):
    """By how much the frozen control of INT8 is above that of FP32, in a sentence; '' if not both have run."""
    frozen = cells["int8"](k, True).difference(cells["fp32"](k, True))
    return f"INT8 less FP32 of the frozen controls is {with_seeds(frozen)}." if frozen.by_seed else ""


def not_run(lines):
    """Which comparisons have not run, in a sentence; '' where all have."""
    missing = {}
    for line in lines:
        missing.setdefault(line.claim, {}).setdefault(line.place, []).append(line.of)
    places = "; ".join(f"{claim}: " + ", ".join(f"{place} ({', '.join(of)})" for place, of in found.items())
                       for claim, found in missing.items())
    return f"These comparisons have not run: {places}." if places else ""


def summed_up(lines):
    """A line of the short table, of all comparisons with one claim."""
    words = [line.met.partition(",")[0] for line in lines]
    others = ", ".join(f"{word} {words.count(word)}" for word in (NO_DIFFERENCE.strip(), "no", "open") if word in words)
    ends = (end(lines, key=lambda line: line.value) for end in (min, max))
    return [lines[0].claim, lines[0].claimed, f"{words.count('yes')} of {len(words)}", others or "none",
            *(f"{line.form.format(line.value)} ({line.name()})" for line in ends)]


def claims():
    """The abstract's claims, ours beside them, and whether they are met: a line for each, then all comparisons."""
    lines, by_claim = [*accuracy_lines(), *cost_lines(), *precision_lines(), *equal_lines()], {}
    ran = [line for line in lines if line.met != NOT_RUN]
    for line in ran:
        by_claim.setdefault(line.claim, []).append(line)
    short = Table("", ["claim", "claimed", "met", "the others", "smallest", "largest"],
                  [summed_up(found) for found in by_claim.values()],
                  not_run([line for line in lines if line.met == NOT_RUN]))
    every = Table(f"All {len(ran)} comparisons", ["claim", "claimed", "ours", "how measured", "met", "if not, why"], [
        [f"{line.claim}: {line.name()}", line.claimed, line.ours, line.how, line.met, line.why] for line in ran])
    return "\n".join([*markdown_rows(short.head, short.lines), "", *note_lines(short), folded(every).rstrip()])
