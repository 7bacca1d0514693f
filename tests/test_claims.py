"""The paper's claims in experiments/README.md: every line recomputed from the committed JSON by code of its own."""
import re

import pytest

from test_equal_samples import LINES as EQUAL
from test_readme import EXPERIMENTS, SETS, correct, made, result, table, with_interval

LONGER = {"int8": "accuracy_longer", "fp32": "accuracy_longer_fp32"}   # the tables of several times the epochs
SHORT, LONG = made("claims", EXPERIMENTS).split("<details>")
LINES = {line[0]: line[1:] for line in table(LONG) if len(line) == 6}   # {claim: what stands beside it}


def paired(one, other):
    return [one[seed] - other[seed] for seed in one if seed in other]


def shown(values):
    """'+5.88 +- 1.16 (5 seeds)', or with fewer seeds no interval."""
    return f"{with_interval(values, '{:+.2f}')} ({'one seed' if len(values) == 1 else f'{len(values)} seeds'})"


def ends(values):
    """The interval, by what is shown; None of too few seeds."""
    numbers = re.fullmatch(r"(?:~ )?([+-][\d.]+) \+- ([\d.]+) \(.*\)", shown(values))
    return numbers and (float(numbers[1]) - float(numbers[2]), float(numbers[1]) + float(numbers[2]))


def judged(values, least):
    """Yes, no or open, by the whole interval."""
    if not ends(values):
        return "open"
    low, high = ends(values)
    return "yes" if low >= least else "no" if high < least else "open"


def samples_of(file, name):
    """The samples that a row sees, of its configuration."""
    config = result(file)["rows"][name]["config"]
    return config["epochs"] * config["dataset"]["training_samples"]


def check(name, values, least, seen=None):
    """A line of a difference: what is shown, the verdict and the reason; none where nothing has run."""
    if not values:
        assert name not in LINES
        return
    claimed, ours, how, met, why = LINES[name]
    loss = claimed == "no loss of accuracy"
    assert ours == shown(values) and claimed == ("no loss of accuracy" if loss else "5.2 to 9.5 points")
    word = judged(values, least)
    if loss and ends(values):
        word = "~" if word == "open" else word
    assert met == word, name
    assert ("paired by seed, last epoch, whole test set" in how) and bool(why) == (met != "yes")
    if seen:
        words = "as many samples" if seen[0] == seen[1] else f"{seen[0] / seen[1]:.2f} times the samples"
        assert how.endswith(words)


@pytest.mark.parametrize("title, file, precision", SETS, ids=[name for name, *_ in SETS])
def test_gains_over_vanilla_zo(title, file, precision):
    source = file if file.startswith("pointnet") else f"accuracy_{file}_{precision}"
    prefix = f"{precision}-" * file.startswith("pointnet")
    zero = correct(file, precision, "k0")
    for k in (1, 2, 3):
        values = paired(correct(file, precision, f"k{k}"), zero)
        seen = [samples_of(source, f"{prefix}k{of}") for of in (k, 0)] if values else None
        check(f"over vanilla ZO, full training: {title}, K = {k}", values, 5.2, seen)


def right(name, part=None, table="accuracy_longer"):
    """{seed: percent} of a row of a table, which may not have run; or of fine-tuning where it has parts."""
    table = "accuracy_fine_tuning" if part else table
    try:
        rows = result(table)["rows"]
    except FileNotFoundError:
        rows = {}
    found = {seed: rows.get(f"{name}-seed{seed}" if seed else name) for seed in range(10)}
    return {seed: row["right"][part]["correct"] / 100 if part else row["last_epoch"]["test_correct"] / 100
            for seed, row in found.items() if row}   # of 10,000 images


@pytest.mark.parametrize("k", (1, 2))
@pytest.mark.parametrize("precision", ("int8", "fp32"))
def test_gains_with_more_epochs(precision, k):
    table = LONGER[precision]
    check(f"over vanilla ZO, more epochs (table `longer`): MNIST, {precision.upper()}, K = {k}",
          paired(right(f"k{k}", table=table), right("k0", table=table)), 5.2)


@pytest.mark.parametrize("data, title", (("mnist", "MNIST"), ("fashion-mnist", "Fashion-MNIST")))
@pytest.mark.parametrize("degrees", (30, 45))
@pytest.mark.parametrize("precision", ("int8", "fp32"))
def test_gains_of_fine_tuning(data, title, degrees, precision):
    stem = f"{data}-{precision}-{degrees}"
    for k in (1, 2):
        values = paired(right(f"{stem}-k{k}", "all"), right(f"{stem}-k0", "all"))
        assert values
        name = f"over vanilla ZO, fine-tuning: {title} turned by {degrees} degrees, {precision.upper()}, K = {k}"
        check(name, values, 5.2, [samples_of("accuracy_fine_tuning", f"{stem}-k{of}") for of in (k, 0)])


@pytest.mark.parametrize("table_name, words", (("tilt", "tilted by 20 degrees"), ("jitter", "with noise")))
@pytest.mark.parametrize("precision", ("int8", "fp32"))
def test_gains_of_fine_tuning_to_clouds(table_name, words, precision):
    k2, k0 = (correct(f"pointnet_{table_name}_p256", precision, name) for name in ("k2", "k0"))
    check(f"over vanilla ZO, fine-tuning: ModelNet10 {words}, {precision.upper()}, K = 2", paired(k2, k0), 5.2)


@pytest.mark.parametrize("title, file", [(title.rpartition(",")[0], file) for title, file, kind in SETS
                                         if kind == "int8"])
def test_int8_less_fp32(title, file):
    for name, label in (("k0", "K = 0"), ("k1", "K = 1"), ("k2", "K = 2"), ("k3", "K = 3"), ("all", "full BP")):
        line = f"INT8 less FP32: {title}, {label}"
        check(line, paired(*(correct(file, kind, name) for kind in ("int8", "fp32"))), 0)
        if LINES.get(line, [""] * 5)[3] == "no" and name in ("k1", "k2", "k3"):
            controls = paired(*(correct(file, kind, f"{name}-frozen") for kind in ("int8", "fp32")))
            assert f"INT8 less FP32 of the frozen controls is {shown(controls)}." in LINES[line][4]


@pytest.mark.parametrize("line", EQUAL, ids=[" ".join(line[:2]) for line in EQUAL])
def test_differences_at_equal_samples(line):
    data, words, *_, shown_there = line   # which tests/test_equal_samples.py recomputes
    gain = re.fullmatch(r"(INT8|FP32), (K = \d) over K = 0", words)
    name = (f"over vanilla ZO, equal samples: {data}, {gain[1]}, {gain[2]}" if gain else
            f"INT8 less FP32, equal samples: {data}, {words.removeprefix('INT8 less FP32, ')}")
    claimed, ours, how, met, why = LINES[name]
    assert ours.partition(" (")[0] == shown_there.partition(" (")[0] and how.endswith("as many samples")
    assert claimed == ("5.2 to 9.5 points" if gain else "no loss of accuracy") and bool(why) == (met != "yes")
    number = re.match(r"(?:~ )?([+-][\d.]+) \+- ([\d.]+)", ours)
    least, low, high = 5.2 if gain else 0, *((float(number[1]) + sign * float(number[2]) for sign in (-1, 1))
                                             if number else (None, None))
    assert met == ("open" if not number else "yes" if low >= least else "no" if high < least else
                   "open" if gain else "~")


def test_memory_is_that_counted():
    rows = {(row["precision"], row["batch"], row["bp_tail"]): row["measured"]
            for row in result("memory")["rows"] if not row["frozen"]}
    for precision in ("int8", "fp32"):
        for k in (1, 2, 3):
            more = 100 * (rows[precision, 32, k] / rows[precision, 32, 0] - 1)
            claimed, ours, how, met, _ = LINES[f"memory over vanilla ZO: LeNet-5, {precision.upper()}, K = {k}"]
            assert (claimed, ours, met) == ("0.072 to 1.7 %", f"{more:+.2f} %", "yes, less") and more < 0.072
            assert how == "counted bytes at the peak of a step, batch 32"
    for batch in (32, 256):
        ratio = rows["fp32", batch, 1] / rows["int8", batch, 1]
        line = LINES[f"memory, FP32 over INT8: LeNet-5, K = 1, batch {batch}"]
        assert line[:2] == ["1.46 to 1.60", f"{ratio:.2f}"] and line[3] == ("yes" if ratio >= 1.46 else "no")


@pytest.mark.parametrize("batch", (32, 256))
def test_times_are_those_measured(batch):
    speed = result("speed")
    numpy = 1 / speed["ratios"][f"int8_over_fp32_k1_b{batch}"]
    _, ours, how, met, why = LINES[f"time, FP32 over INT8, NumPy: LeNet-5, K = 1, batch {batch}"]
    assert ours == f"{numpy:.2f}" and met == ("yes" if numpy >= 1.38 else "no") and bool(why) == (met == "no")
    for step in speed["steps"]:
        if (step["bp_tail"], step["batch"]) == (1, batch):
            assert "{} {:.2f} to {:.2f}".format(step["precision"].upper(), *step["spread"]) in how
    port, = (row for row in result("port_speed")["port"] if row["model"] == "lenet5" and row["bp_tail"] == 1
             and row["batch"] == batch and row["flags"] == "native")
    ratio = port["fp32, ms"] / port["int8, ms"]
    line = LINES[f"time, FP32 over INT8, the port in C99: LeNet-5, K = 1, batch {batch}"]
    assert line[:2] == ["1.38 to 1.42", f"{ratio:.2f}"] and line[3] == ("yes" if ratio >= 1.38 else "no")


def test_the_short_table_counts_the_long_one():
    assert len(LINES) - 2 == int(re.search(r"All (\d+) comparisons", LONG)[1])   # the head and the line below it
    lines = [line for line in table(SHORT) if len(line) == 6][2:]
    assert sum(int(line[2].split(" of ")[1]) for line in lines) == len(LINES) - 2
    for claim, claimed, met, others, smallest, largest in lines:
        found = {name.removeprefix(f"{claim}: "): line for name, line in LINES.items() if name.startswith(f"{claim}: ")}
        words = [line[3].split(",")[0] for line in found.values()]
        assert {line[0] for line in found.values()} == {claimed}
        assert met == f"{words.count('yes')} of {len(found)}"
        assert others == (", ".join(f"{word} {words.count(word)}" for word in ("~", "no", "open") if word in words)
                          or "none")
        values = {name: float(re.search(r"[+-]?[\d.]+", line[1])[0]) for name, line in found.items()}
        for shown_end, end in ((smallest, min), (largest, max)):
            number, name = re.fullmatch(r"(\S+)(?: %)? \((.*)\)", shown_end).groups()
            assert float(number) == values[name] == end(values.values())


def test_what_has_not_run_is_named_once_and_is_no_line():
    said = " ".join(SHORT.split()).partition("These comparisons have not run: ")[2]
    named = [f"{claim}: {place}, {of}" for part in said.rstrip(". ").split("; ")
             if part for claim, places in [part.split(": ", 1)]
             for place, which in re.findall(r"([^()]+?) \(([^()]+)\)(?:, |$)", places) for of in which.split(", ")]
    assert len(set(named)) == len(named) and not set(named) & LINES.keys()
    for title, file, precision in SETS:
        for k in (1, 2, 3):
            ran = paired(correct(file, precision, f"k{k}"), correct(file, precision, "k0"))
            assert (f"over vanilla ZO, full training: {title}, K = {k}" in named) == (not ran)
