"""Rows of full training that see different numbers of samples, compared at the same number too.

The schedules of K = 0 to 3 and of both precisions are not equally long. Where the two sides of a difference differ in
that, one of them is trained once more with the epochs of the other, its schedule's values spread over those. This is
the table of both.
"""
from typing import NamedTuple

from experiments.cells import (
    NOT_RUN, Cell, Table, cell, name_of, pointnet_cells, times_the_samples, title_of, training_cells)
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import BP, DATA_SETS, PRECISIONS, stem_of


def of_image(data, precision, k, epochs):
    """The Cell of a row of `equal-samples`."""
    return cell("equal-samples", f"{data}-{precision}-{stem_of(k)}-{epochs}")


class Comparison(NamedTuple):
    """The difference of two rows, and the row that was trained anew so that both see the same number of samples."""
    data: str
    precision: str   # of K over K = 0; "" where it is INT8 less FP32
    k: object
    one: Cell
    other: Cell
    anew: Cell
    is_other: bool   # whether `anew` stands for the other one

    def name(self):
        return f"{self.precision.upper()}, {name_of(self.k)} over K = 0" if self.precision else (
            f"INT8 less FP32, {name_of(self.k)}")

    def at_equal_samples(self):
        """The two sides: Cell, Cell."""
        return (self.one, self.anew) if self.is_other else (self.anew, self.other)

    def difference(self):
        here, there = self.at_equal_samples()
        return here.difference(there)


def comparisons():
    """[Comparison], of all whose sides differ in the number of samples and whose row has been trained anew."""
    return [found for found in every() if times_the_samples(found.one, found.other) and found.anew.by_seed]


def every():
    """Every Comparison that could be."""
    for data in DATA_SETS:
        cells = {precision: training_cells(f"{data}-{precision}") for precision in PRECISIONS}
        for precision in PRECISIONS:
            for k in (1, 2, 3):
                one, base = cells[precision](k), cells[precision](0)
                yield Comparison(TITLES[data], precision, k, one, base,
                                 of_image(data, precision, 0, one.schedule()[0]), True)
        for k in (0, 1, 2, 3, BP):
            one, other = (cells[precision](k) for precision in ("int8", "fp32"))
            yield Comparison(TITLES[data], "", k, one, other, of_image(data, "int8", k, other.schedule()[0]), False)
    full, short = (read_result(f"pointnet_{table}_p256") for table in ("full", "equal"))
    for k in (0, 1, 2, 3, BP) if full else ():
        one, other = (pointnet_cells(full, precision)(k) for precision in ("int8", "fp32"))
        yield Comparison(title_of(full), "", k, one, other, pointnet_cells(short, "int8")(k), False)


def table():
    """The table of all comparisons()."""
    lines = []
    for found in comparisons():
        here, there = found.at_equal_samples()
        lines.append([found.data, found.name(), times_the_samples(found.one, found.other).removesuffix(" times"),
                      found.one.difference(found.other),
                      f"{here.samples():,}" if here.samples() == there.samples() else NOT_RUN, found.anew,
                      found.difference()])
    yield Table("Differences at equal samples", [
        "data", "difference", "times the samples of the other side", "as the defaults are", "samples of both sides",
        "the row trained anew, %", "at equal samples"], lines)
