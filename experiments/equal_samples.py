"""Rows of full training that see different numbers of samples, compared at the same number too.

The schedules of K = 0 to 3 and of both precisions are not equally long. Where the two sides of a difference differ in
that, one of them is trained once more with the epochs of the other, its schedule's values spread over those. This is
the table of both.
"""
from experiments.cells import (
    NOT_RUN, Table, cell, name_of, pointnet_cells, times_the_samples, title_of, training_cells)
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import BP, DATA_SETS, PRECISIONS, stem_of


def of_image(data, precision, k, epochs):
    """The Cell of a row of `equal-samples`."""
    return cell("equal-samples", f"{data}-{precision}-{stem_of(k)}-{epochs}")


def comparisons():
    """(data, what is compared, one Cell, the other, one of them at the samples of the other, which).

    The last is 0 if it stands for the first side, 1 if for the second.
    """
    for data in DATA_SETS:
        cells = {precision: training_cells(f"{data}-{precision}") for precision in PRECISIONS}
        for precision in PRECISIONS:
            for k in (1, 2, 3):
                one, base = cells[precision](k), cells[precision](0)
                yield (TITLES[data], f"{precision.upper()}, {name_of(k)} over K = 0", one, base,
                       of_image(data, precision, 0, one.schedule()[0]), 1)
        for k in (0, 1, 2, 3, BP):
            one, other = (cells[precision](k) for precision in ("int8", "fp32"))
            yield (TITLES[data], f"INT8 less FP32, {name_of(k)}", one, other,
                   of_image(data, "int8", k, other.schedule()[0]), 0)
    full, short = (read_result(f"pointnet_{table}_p256") for table in ("full", "equal"))
    for k in (0, 1, 2, 3, BP) if full else ():
        one, other = (pointnet_cells(full, precision)(k) for precision in ("int8", "fp32"))
        yield (title_of(full), f"INT8 less FP32, {name_of(k)}", one, other, pointnet_cells(short, "int8")(k), 0)


def table():
    """The table, of the comparisons whose sides differ and whose shorter or longer row has run."""
    lines = []
    for data, words, one, other, equal, side in comparisons():
        times = times_the_samples(one, other)
        if times and equal.by_seed:
            here, there = (one, equal) if side else (equal, other)
            lines.append([data, words, times.removesuffix(" times"), one.difference(other),
                          f"{here.samples():,}" if here.samples() == there.samples() else NOT_RUN, equal,
                          here.difference(there)])
    yield Table("Differences at equal samples", [
        "data", "difference", "times the samples of the other side", "as the defaults are", "samples of both sides",
        "the row trained anew, %", "at equal samples"], lines)
