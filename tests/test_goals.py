"""The goals in experiments/README.md: every line recomputed from the committed JSON by code of its own."""
import pytest

from test_claims import LONGER, judged, paired, right, shown
from test_readme import EXPERIMENTS, correct, made, result, table, with_interval

LINES = {line[0]: line[1:] for line in table(made("goals", EXPERIMENTS))}   # {goal: what stands beside it}
CLOUDS = "pointnet_full_modelnet40_p256"


def line_of(start):
    """What stands beside the one goal that begins so."""
    found, = (line for goal, line in LINES.items() if goal.startswith(start))
    return found


def check(start, values, least, form=shown):
    ours, met, why = line_of(start)
    assert (ours, met) == (form(values), judged(values, least)) and bool(why) == (met != "yes")
    return why


def accuracy(values):
    return f"{with_interval(values)} ({'one seed' if len(values) == 1 else f'{len(values)} seeds'})"


@pytest.mark.parametrize("k, least", ((0, 91.0), (1, 95.0), (2, 97.7)))
@pytest.mark.parametrize("precision", ("int8", "fp32"))
def test_accuracies_on_mnist(precision, k, least):
    starts = [goal for goal in LINES if goal.startswith(f"MNIST, {precision.upper()}, K = {k}: at least {least:.1f} %")]
    tables = [(LONGER[precision], f"k{k}", right(f"k{k}", table=LONGER[precision]), ""),
              (f"accuracy_mnist_{precision}", f"k{k}", correct("mnist", precision, f"k{k}"), " (default)")]
    tables = [one for one in tables if one[2]]
    assert len(starts) == len(tables)
    for goal, (file, name, values, end) in zip(starts, tables, strict=True):
        assert goal.endswith(f", in {result(file)['rows'][name]['config']['epochs']} epochs{end}")
        why = check(goal, [*values.values()], least, accuracy)
        assert ("have not run" in why) == (len(tables) == 1 and LINES[goal][1] != "yes")


def test_full_bp_on_clouds():
    start = "ModelNet40, FP32, full BP, 256 points: at least 84.0 %"
    check(start, [*correct(CLOUDS, "fp32", "all").values()], 84, accuracy)
    start = "ModelNet40, FP32, full BP, 1,024 points: at least 86.0 %"
    try:
        found = [*correct("pointnet_full_modelnet40_p1024", "fp32", "all").values()]
    except FileNotFoundError:
        found = []
    if found:
        check(start, found, 86, accuracy)
    else:
        assert line_of(start)[:2] == ["no run", "open"] and "has not run" in line_of(start)[2]


def test_differences_on_clouds():
    for precision in ("int8", "fp32"):
        check(f"ModelNet40, {precision.upper()}, 256 points: K = 2 at least 20 points over K = 0",
              paired(correct(CLOUDS, precision, "k2"), correct(CLOUDS, precision, "k0")), 20)
    for name, label in (("k0", "K = 0"), ("k2", "K = 2"), ("all", "full BP")):
        why = check(f"ModelNet40, 256 points, {label}: INT8 at most 2 points below FP32, as many samples",
                    paired(*(correct(CLOUDS, kind, name) for kind in ("int8", "fp32"))), -2)
        rows = [result(CLOUDS)["rows"][f"{kind}-{name.replace('all', 'kall')}"]["config"] for kind in ("int8", "fp32")]
        assert len({(row["epochs"], row["dataset"]["training_samples"]) for row in rows}) == 1   # as many samples
        assert ("frozen controls is" in why) == (name == "k2")
    controls = shown(paired(*(correct(CLOUDS, kind, "k2-frozen") for kind in ("int8", "fp32"))))
    assert f"INT8 less FP32 of the frozen controls is {controls}." in line_of("ModelNet40, 256 points, K = 2")[2]


@pytest.mark.parametrize("name, label", (("k2", "K = 2"), ("k3", "K = 3"), ("all", "full BP")))
@pytest.mark.parametrize("data, title", (("mnist", "MNIST"), ("fashion-mnist", "Fashion-MNIST")))
def test_a_batch_of_one_beside_the_best(data, title, name, label):
    rows = result("batch_size")["rows"]
    found = {batch: {seed: row["correct"] / row["images"] * 100 for seed in (1, 2, 3)
                     if (row := rows.get(f"{data}-int8-running-{name}-b{batch}-s{seed}"))}
             for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)}
    best = max(found, key=lambda batch: sum(found[batch].values()) / len(found[batch]))
    check(f"{title}, INT8, {label}: a batch of 1 at most 1 point below the best batch ({best})",
          paired(found[1], found[best]), -1)


@pytest.mark.parametrize("batch", (1, 32, 256))
def test_times_of_the_port(batch):
    row, = (row for row in result("port_speed")["port"] if row["model"] == "lenet5" and row["bp_tail"] == 1
            and row["batch"] == batch and row["flags"] == "native")
    ratio = row["fp32, ms"] / row["int8, ms"]
    ours, met, why = line_of(f"The port's step, K = 1, batch {batch}: INT8 at least 1.42 times as fast as FP32")
    assert ours.startswith(f"{ratio:.2f} (medians of {row['steps']:,} steps")
    assert met == ("yes" if ratio >= 1.42 else "no") and bool(why) == (met == "no")


def test_no_line_is_left_unchecked():
    starts = ("goal", "---", "MNIST, INT8, K", "MNIST, FP32, K", "MNIST, INT8, full BP", "Fashion-MNIST, INT8, ",
              "ModelNet40, ", "The port's step, K = 1, batch ")
    longer = sum(bool(right(f"k{k}", table=table)) for table in LONGER.values() for k in (0, 1, 2))
    assert all(goal.startswith(starts) for goal in LINES) and len(LINES) == 2 + 6 + longer + 2 + 2 + 3 + 6 + 3
