"""What the tables are made of: the results of a row over its seeds, and a table as text or as Markdown.

Differences are paired by seed. "97.04 +- 0.60" is a mean and half of its 95 % interval, by Student's t.
"""
import math
import statistics
import textwrap
from typing import NamedTuple

from scipy import stats

from experiments.accuracy import results
from experiments.common import RESULTS, read_result
from experiments.rows import BP, is_current, rows_of, seeded, stem_of

NOT_RUN, ONE_SEED = "-", "one seed"
TAILS = (0, 1, 2, 3, BP)
MOST_SEEDS = 100
CONFIDENCE, FEWEST = 0.95, 3   # of an interval, and the seeds that it needs
NO_DIFFERENCE, OTHER_SETTINGS, CHANGED_CODE = "~ ", " *", " ^"   # marks that MARKS explains
MARKS = ("97.04 +- 0.60 (3 seeds): the mean, and half of its 95 % interval by Student's t. Differences are paired by "
         "seed. ~ before a difference: its interval holds zero, there is no difference to be told. (one seed), (2 "
         "seeds): too few for an interval; such a difference is no gain yet. * after an accuracy: settings that are "
         "not today's defaults. ^: made from code with changes that were not committed, and not repeated to the digest "
         "since. Samples seen: epochs times the samples of an epoch.")


def name_of(k):
    return "full BP" if k == BP else f"K = {k}"


def half_width(values):
    """Half of the 95 % interval of the mean of some values, by Student's t; None of fewer than FEWEST.

    Two values may agree by chance, and then seem to have no error at all.
    """
    count = len(values)
    return None if count < FEWEST else errors_to_either_side(count) * statistics.stdev(values) / math.sqrt(count)


def errors_to_either_side(count):
    """How many standard errors of a mean of so many values half of its 95 % interval is, by Student's t."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))


def seeds_of(by_seed):
    return ONE_SEED if len(by_seed) == 1 else f"{len(by_seed)} seeds"


class Difference:
    """What one row is above another in points, seed by seed.  by_seed: {seed: points}, perhaps of no seed."""

    def __init__(self, by_seed):
        self.by_seed = by_seed
        values = list(by_seed.values())
        self.mean = statistics.fmean(values) if values else None
        self.half_width = half_width(values)

    def is_told(self):
        """Whether there is an interval and it does not hold zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width

    def short(self):
        """'+9.62 +- 1.62', with the mark of no difference; without the seeds."""
        if self.mean is None:
            return NOT_RUN
        mean = f"{self.mean:+.2f}".replace("-0.00", "+0.00")
        if self.half_width is None:
            return mean
        return f"{'' if self.is_told() else NO_DIFFERENCE}{mean} +- {self.half_width:.2f}"

    def __str__(self):
        return self.short() + (f" ({seeds_of(self.by_seed)})" if 0 < len(self.by_seed) < FEWEST else "")


class Cell:
    """The results of one row over its seeds.

    by_seed: {seed: percent}.  current: whether all were made with today's settings.  rows: {seed: its result}.
    """

    def __init__(self, by_seed, current=True, rows=None):
        self.by_seed, self.current, self.rows = by_seed, current, rows or {}

    def __str__(self):
        if not self.by_seed:
            return NOT_RUN
        changed = any(map(is_of_changed_code, self.rows.values()))
        return f"{self.short()} ({self.seeds()}){'' if self.current else OTHER_SETTINGS}{CHANGED_CODE * changed}"

    def seeds(self):
        return seeds_of(self.by_seed)

    def mean(self):
        return statistics.fmean(self.by_seed.values())

    def short(self):
        """The mean and its interval."""
        if not self.by_seed:
            return NOT_RUN
        half = half_width(list(self.by_seed.values()))
        return f"{self.mean():.2f}" + ("" if half is None else f" +- {half:.2f}")

    def difference(self, other, one_for_all=False):
        """The Difference to another cell, over the seeds that both have.

        one_for_all: the other's first seed stands beside every seed, as of what is not trained.
        """
        base = other.by_seed
        if one_for_all and base:
            base = dict.fromkeys(self.by_seed, base[min(base)])
        return Difference({seed: self.by_seed[seed] - base[seed] for seed in sorted(self.by_seed.keys() & base.keys())})

    def samples(self):
        """How many samples a run of this row sees; None if it has not run, or is not trained."""
        row = self.rows.get(min(self.rows)) if self.rows else None
        if not row or "last_epoch" not in row or "dataset" not in row.get("config", {}):
            return None
        return row["config"]["epochs"] * row["config"]["dataset"]["training_samples"]

    def by_class(self):
        """The mean over classes of what is right and its interval, where the results have it."""
        found = {seed: row["last_epoch"]["mean_class_accuracy"] for seed, row in self.rows.items()
                 if "mean_class_accuracy" in row.get("last_epoch", {})}
        return Cell(found).short() if len(found) == len(self.rows) else NOT_RUN

    def schedule(self):
        """Epochs, batch, steps and samples seen, as a table shows them."""
        if not self.samples():
            return ["-"] * len(SCHEDULE)
        config = self.rows[min(self.rows)]["config"]
        steps = config["epochs"] * math.ceil(config["dataset"]["training_samples"] / config["batch_size"])
        return [config["epochs"], config["batch_size"], f"{steps:,}", f"{self.samples():,}"]


SCHEDULE = ["epochs", "batch", "steps", "samples seen"]


def times_the_samples(here, other):
    """'0.50 times' as many samples as another cell sees; '' where it is as many, or one has not run."""
    if not here.samples() or not other.samples() or here.samples() == other.samples():
        return ""
    return f"{here.samples() / other.samples():.2f} times"


def is_of_changed_code(row):
    """Whether a result was made by code that no commit has, and port_rows.py has not come to the same weights since."""
    repeated = {found["weights_sha256"] for found in read_result("port_rows").get("rows", {}).values()
                if found["agrees"]}
    return (row.get("made_with", {}).get("commit") or "").endswith("+") and row.get("weights_sha256") not in repeated


def accuracy_of(result, part=None):
    """Percent right, of the last epoch, or of a part of the test images where a result has parts."""
    if part:
        return 100 * result["right"][part]["correct"] / result["right"][part]["images"]
    last = result["last_epoch"]
    return 100 * last["test_correct"] / last["test_images"]


def cell(table, name, part=None):
    """The Cell of a row of a table and of the same row at other seeds.  name: that of seed 0."""
    found, rows, current = results(table), {}, True
    stem, frozen = name.removesuffix("-frozen"), name.endswith("-frozen") and table != "fine-tuning"
    stem = stem if frozen else name
    for seed in range(MOST_SEEDS):
        key = seeded(stem, seed) + ("-frozen" if frozen else "")
        if key in found:
            rows[seed] = found[key]
            row = next((row for row in rows_of(table, seed + 1) if row.name == key), None)
            current = current and row is not None and is_current(row, found[key]["config"])
    return Cell({seed: accuracy_of(row, part) for seed, row in rows.items()}, current, rows)


def training_cells(table):
    """A function of K ("all" for full BP) and whether frozen that gives the Cell of a table of full training."""
    return lambda k, frozen=False: cell(table, stem_of(k) + "-frozen" * frozen)


def pointnet_files():
    """The results of experiments/pointnet.py that are there, but for candidates of schedules."""
    return [path for path in sorted(RESULTS.glob("pointnet_*.json")) if not path.stem.startswith("pointnet_tuning")]


def pointnet_results():
    """The results of PointNet's full training that are there, one for each data set and number of points."""
    found = [read_result(path.stem) for path in pointnet_files() if path.stem.startswith("pointnet_full")]
    return sorted(found, key=lambda result: (result["data"], result["points"]))


def title_of(result):
    """'ModelNet10, 256 points' of a result of experiments/pointnet.py."""
    name = {"modelnet10": "ModelNet10", "modelnet40": "ModelNet40"}.get(result["data"], result["data"])
    return f"{name}, {result['points']:,} points"


def pointnet_cells(result, precision):
    """The same of a result of experiments/pointnet.py; also of "upright" and "as-it-is", which are no K."""
    def found(k, frozen=False):
        name, rows = f"{precision}-" + (k if k in ("upright", "as-it-is") else f"k{k}") + "-frozen" * frozen, {}
        for seed in range(MOST_SEEDS):
            row = result.get("rows", {}).get(seeded(name, seed)) or result.get("rows", {}).get(
                seeded(name.removesuffix("-frozen"), seed) + "-frozen" * frozen)
            if row:
                rows[seed] = row
        return Cell({seed: accuracy_of(row) for seed, row in rows.items()}, rows=rows)
    return found


class Table(NamedTuple):
    """A title, the heads of the columns, lines of cells that are shown as they print, and what is said below."""
    title: str
    head: list
    lines: list
    note: str = ""


def note_lines(table):
    return textwrap.wrap(table.note, 118) + [""] if table.note else []


def markdown_rows(head, lines):
    """The rows of a Markdown table, without a title."""
    return ["| " + " | ".join(map(str, line)) + " |" for line in (head, ["---"] * len(head), *lines)]


def table_of(head, lines):
    """The same as one text."""
    return "\n".join(markdown_rows(head, lines))


def as_markdown(table):
    return "\n".join([f"### {table.title}", "", *markdown_rows(table.head, table.lines), "", *note_lines(table)])


def folded(table):
    """The same below its title, which opens it."""
    return "\n".join(["<details>", f"<summary>{table.title}</summary>", "", *markdown_rows(table.head, table.lines), "",
                      *note_lines(table), "</details>", ""])


def as_text(table):
    """Columns side by side, as wide as they need to be."""
    lines = [[str(value) for value in line] for line in (table.head, *table.lines)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rows = ["  ".join(value.ljust(width) for value, width in zip(line, widths)).rstrip() for line in lines]
    rows.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([table.title, "", *rows, "", *note_lines(table)])
