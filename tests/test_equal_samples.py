"""The table of differences at equal samples, recomputed from the committed counts."""
import re

import pytest

from test_readme import EXPERIMENTS, correct, difference, made, result, table, with_interval

FILES = {"MNIST": "mnist", "Fashion-MNIST": "fashion_mnist", "ModelNet10, 256 points": "pointnet_full_p256"}
LINES = [line for line in table(made("table equal-samples", EXPERIMENTS)) if line and line[0] in FILES]


def rows_of(data, precision, k):
    """{seed: the row of full training}."""
    name = FILES[data] if data.startswith("Model") else f"accuracy_{FILES[data]}_{precision}"
    rows = result(name)["rows"]
    stem = f"{precision}-k{k}" if data.startswith("Model") else k if k == "all" else f"k{k}"
    return {seed: rows[found] for seed in range(5) if (found := f"{stem}-seed{seed}" if seed else stem) in rows}


def samples(row):
    return row["config"]["epochs"] * row["config"]["dataset"]["training_samples"]


def trained_anew(data, precision, k, epochs):
    """{seed: the row}, with the epochs of another one."""
    clouds = data.startswith("Model")
    rows = result("pointnet_equal_p256" if clouds else "accuracy_equal_samples")["rows"]
    stem = f"int8-k{k}" if clouds else "-".join((data.lower(), precision, k if k == "all" else f"k{k}", str(epochs)))
    return {seed: rows[found] for seed in range(3) if (found := f"{stem}-seed{seed}" if seed else stem) in rows}


def percent(rows):
    return {seed: 100 * row["last_epoch"]["test_correct"] / row["last_epoch"]["test_images"]
            for seed, row in rows.items()}


@pytest.mark.parametrize("line", LINES, ids=[" ".join(line[:2]) for line in LINES])
def test_each_line_is_of_the_counts(line):
    data, words, times, usual, seen, anew, equal = line
    zero = re.fullmatch(r"(INT8|FP32), K = (\d) over K = 0", words)
    if zero:
        precision, k = zero[1].lower(), zero[2]
        one, other = (rows_of(data, precision, name) for name in (k, "0"))
        short = trained_anew(data, precision, 0, one[0]["config"]["epochs"])
        here, there = percent(one), percent(short)
    else:
        k = "all" if words.endswith("full BP") else words[-1]
        one, other = (rows_of(data, precision, k) for precision in ("int8", "fp32"))
        short = trained_anew(data, "int8", k, other[0]["config"]["epochs"])
        here, there = percent(short), percent(other)
    assert samples(one[0]) != samples(other[0]) and times == f"{samples(one[0]) / samples(other[0]):.2f}"
    assert {samples(row) for row in short.values()} == {samples((one if zero else other)[0])} == {
        int(seen.replace(",", ""))}
    assert usual == difference(percent(one), percent(other)) and equal == difference(here, there)
    assert anew.partition(" (")[0] == with_interval([*percent(short).values()])


def test_every_row_that_was_trained_for_it_is_in_the_table():
    rows = [re.sub(r"-seed\d$", "", name) for name in result("accuracy_equal_samples")["rows"]]
    assert LINES and len(set(rows)) <= len(LINES) and correct("mnist", "int8", "k0")
