"""The documents: what they show is what committed results hold, what they name exists, what they tell to run runs."""
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys

import pytest
from scipy import stats

from experiments import pointnet, readme
from experiments.rows import is_of
from zo_numpy.app.arguments import parse
from zo_numpy.run import defaults
from zo_numpy.run.config import make_config

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
EXPERIMENTS = (ROOT / "experiments/README.md").read_text()
ROWS = json.loads((ROOT / "experiments/results/accuracy_mnist_int8.json").read_text())["rows"]


def made(name, text=README):
    """The text between the marks of one part."""
    return re.search(rf"<!-- made: {name} -->\n(.*?)\n<!-- end -->", text, re.S)[1]


def table(text):
    return [[value.strip() for value in line.split("|")[1:-1]] for line in text.splitlines()]


@pytest.mark.parametrize("name", readme.DOCUMENTS)
def test_documents_are_as_the_results_are(name):
    text = (ROOT / name).read_text()
    assert set(re.findall(r"<!-- made: (.*?) -->", text)) <= readme.MADE.keys()
    assert readme.renewed(text) == text, "python -m experiments.readme writes the results into the documents"
    assert text.count("<!-- made: ") == text.count("<!-- end -->") > 0


def test_a_drift_is_seen_and_mended():
    figure = re.search(r"\d\d\.\d\d", made("added"))[0]
    drifted = README.replace(figure, "12.34")
    assert drifted != README == readme.renewed(drifted)


T975 = {2: 12.7062, 3: 4.30265, 4: 3.18245, 5: 2.77645}   # Student's t of n values, from a printed table


def correct(data, precision, name):
    """{seed: percent} of a row, read from its JSON with nothing of the project between."""
    clouds = data.startswith("pointnet")
    file = data if clouds else f"accuracy_{data}_{precision}"
    rows = json.loads((ROOT / f"experiments/results/{file}.json").read_text())["rows"]
    if clouds:
        name = f"{precision}-{name.replace('all', 'kall')}"
    stem, frozen = name.removesuffix("-frozen"), "-frozen" * name.endswith("-frozen")
    found = {}
    for seed in range(10):
        names = [f"{stem}-seed{seed}{frozen}", f"{stem}{frozen}-seed{seed}"] if seed else [name]
        for row in filter(None, map(rows.get, names)):
            found[seed] = 100 * row["last_epoch"]["test_correct"] / row["last_epoch"]["test_images"]
    return found


def with_interval(values, form="{:.2f}"):
    """'97.04 +- 0.62' of some values, by the textbook."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    text = form.format(mean).replace("-0.00", "+0.00")
    if len(values) < 3:   # too few for an interval
        return text
    half = T975[len(values)] * math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return ("~ " if "+" in form and abs(mean) <= half else "") + f"{text} +- {half:.2f}"


def difference(one, other):
    """The same of two rows, seed by seed."""
    values = [one[seed] - other[seed] for seed in one if seed in other]
    few = {1: " (one seed)", 2: " (2 seeds)"}.get(len(values), "")
    return with_interval(values, "{:+.2f}") + few if values else "-"


SETS = [(f"{title}, {precision.upper()}", file, precision) for title, file in (
    ("MNIST", "mnist"), ("Fashion-MNIST", "fashion_mnist"), ("ModelNet10, 256 points", "pointnet_full_p256"),
    ("ModelNet40, 256 points", "pointnet_full_modelnet40_p256"))
    for precision in ("int8", "fp32") if file[0] != "p" or (ROOT / f"experiments/results/{file}.json").exists()]
SETS = [one for one in SETS if correct(*one[1:], "k2")]   # that have run as far as to K = 2


@pytest.mark.parametrize("title, file, precision", SETS, ids=[name for name, *_ in SETS])
def test_what_zo_adds_is_recomputed_from_the_committed_counts(title, file, precision):
    for part, tails in ((made("added"), ("k2",)), (made("added in full", EXPERIMENTS), ("k1", "k2", "k3"))):
        line = next(line for line in table(part.partition("\n\n")[0]) if line[0] == title)
        rows = {name: correct(file, precision, name) for name in ("k0", "k1", "k2", "k3", "all")}
        assert line[1:4] == [with_interval([*rows[name].values()]) for name in ("k0", "k2", "all")]
        assert line[4] == difference(rows["k2"], rows["k0"])
        assert line[6:] == [difference(rows[name], correct(file, precision, f"{name}-frozen")) for name in tails]


@pytest.mark.parametrize("title, file, precision", SETS, ids=[name for name, *_ in SETS])
def test_tables_are_recomputed_too(title, file, precision):
    part = re.search(rf"<summary>Table 1, full training: {title}</summary>\n\n(.*?)\n\n", EXPERIMENTS, re.S)[1]
    lines = {line[0]: line for line in table(part)}
    zero = correct(file, precision, "k0")
    for name, label in (("k1", "K = 1"), ("k2", "K = 2"), ("k3", "K = 3"), ("all", "full BP")):
        here, line = correct(file, precision, name), lines.get(label)
        assert bool(here) == (line is not None)
        if not here:
            continue
        assert line[5].startswith(with_interval([*here.values()]) + " (") and line[7] == difference(here, zero)
        assert line[8] == ("5.2 to 9.5" if name != "all" else "-")


def test_the_three_lines_are_recomputed():
    text = " ".join(made("findings").split())
    int8, fp32 = ({name: correct("mnist", precision, name) for name in ("k0", "k2", "all", "k2-frozen")}
                  for precision in ("int8", "fp32"))
    for words, name in (("vanilla ZO (K = 0)", "k0"), ("ElasticZO at K = 2", "k2"), ("full BP", "all")):
        assert (f"{words} {with_interval([*int8[name].values()])} % ({with_interval([*fp32[name].values()])})") in text
    assert f"it is {difference(int8['k2'], int8['k0'])} points above vanilla ZO" in text
    assert "mostly from the tail" in text
    assert f"already gives {difference(int8['k2-frozen'], int8['k0'])}." in text
    adds = [difference(one["k2"], one["k2-frozen"]) for one in (int8, fp32)]
    assert f"ZO adds the rest: {adds[0]} (FP32 {adds[1]})" in text
    clouds = {f"{title.partition(',')[0]} in {precision.upper()}": difference(
        correct(file, precision, "k2"), correct(file, precision, "k2-frozen"))
        for title, file, precision in SETS if title.startswith("ModelNet")}
    told = {name: one for name, one in clouds.items() if one[0] != "~" and "seed" not in one}
    assert ("we found no gain from ZO at K = 2" in text) == all(one[0] == "-" for one in told.values())
    assert ("below its control" in text) == any(one[0] == "-" for one in told.values())
    assert all(f"{name} ({one})" in text for name, one in told.items())
    rows = {(row["batch"], row["bp_tail"]): row for row in result("memory")["rows"]
            if not row["frozen"] and row["precision"] == "int8"}
    more = {batch: 100 * (rows[batch, 2]["measured"] / rows[batch, 0]["inference"] - 1) for batch in (32, 1)}
    assert (f"holds {more[32]:.1f} % more memory than inference at a batch of 32, and {more[1]:.1f} % more at 1" in text
            and 0 <= more[32] < more[1] < 10)
    numpy = [ratio for name, ratio in result("speed")["ratios"].items() if re.match(r"int8_over_fp32_k\d", name)]
    assert min(numpy) > 1 and f"in NumPy: {min(numpy):.2f} to {max(numpy):.2f} times as long" in text
    usual, most = ([1 / row["fp32 / int8"] for row in result("port_speed")["port"] if row["model"] == "lenet5"
                    and ((row["batch"], row["bp_tail"]) == (1, 3)) == slow] for slow in (False, True))
    assert max(usual) < 1 < min(most) and (
        f"it is faster: {min(usual):.2f} to {max(usual):.2f} times as long, except at a batch of 1 with K = 3 "
        f"({min(most):.2f} to {max(most):.2f})") in text


def test_what_the_three_lines_rest_on_is_recomputed():
    text = " ".join(made("details").split())
    epochs = {k: [result(f"accuracy_mnist_{precision}")["rows"][k]["config"]["epochs"] for precision in ("int8", "fp32")]
              for k in ("k0", "k2", "all")}
    assert "{} ({}) at K = 0, {} ({}) at K = 2, {} ({}) of full BP".format(
        *epochs["k0"], *epochs["k2"], *epochs["all"]) in text
    for k in (1, 3):
        adds = [difference(correct("mnist", precision, f"k{k}"), correct("mnist", precision, f"k{k}-frozen"))
                for precision in ("int8", "fp32")]
        assert f"t K = {k} {'ZO adds ' * (k == 1)}{adds[0]} (FP32 {adds[1]})" in text
    rows = {(row["precision"], row["batch"], row["bp_tail"]): row for row in result("memory")["rows"] if not row["frozen"]}
    for key in (("int8", 32, 2), ("int8", 1, 2), ("int8", 32, "all"), ("fp32", 32, 2)):
        assert f"{rows[key]['measured'] / 1000:,.0f} kB" in text
    steps = {step["bp_tail"]: step["milliseconds"] for step in result("speed")["steps"]
             if step["precision"] == "int8" and step["batch"] == 32}
    assert f"a step of K = 2 takes {steps[2] / steps['all']:.2f} times as long" in text
    device = result("port_machines")["cortex_m"]
    assert f"{device['instructions'] / 1e6:.1f} million" in text and f"{device['flash'] / 1000:.0f} kB of flash" in text
    assert f"{(device['static'] + device['stack']) / 1000:.0f} kB of RAM" in text


def test_limits_name_every_control_that_is_not_told_from_its_row():
    text = " ".join(made("limits").split())

    def listed(intro, name, kind):
        """The Ks that a sentence names for a data set in a precision."""
        sentence = text.partition(intro)[2].partition(". ")[0]
        return [int(k) for part in sentence.split("; ") if (found := re.fullmatch(
            rf"{name} at K = ([\d, and]+) \((.*)\)", part)) and kind in found[2].split(" and ")
            for k in re.findall(r"\d", found[1])]

    for title, file, precision in SETS:
        name, _, kind = title.rpartition(", ")
        told = {k: difference(correct(file, precision, f"k{k}"), correct(file, precision, f"k{k}-frozen"))
                for k in (1, 2, 3)}
        assert listed("its frozen control on ", name, kind) == [k for k, one in told.items() if one.startswith("~")]
        assert listed("fewer than three seeds have run: ", name, kind) == [k for k, one in told.items() if "seed" in one]
        assert listed("In single runs ZO ended below its control on ", name, kind) == [
            k for k, one in told.items() if "seed" in one and one.startswith("-")]


def test_what_is_told_of_all_differences_together_is_by_holms_rule():
    text, found = " ".join(made("judged together", EXPERIMENTS).split()), {}
    for title, file, precision in SETS:
        for k in (1, 2, 3):
            here, control = (correct(file, precision, f"k{k}{end}") for end in ("", "-frozen"))
            values = [here[seed] - control[seed] for seed in here.keys() & control.keys()]
            if len(values) >= 3:
                found[f"{title}, K = {k}"] = stats.ttest_1samp(values, 0).pvalue
    assert f"If the {len(found)} differences" in text
    kept = text.partition("can be told: ")[2].partition(". ")[0]
    smallest = sorted(found, key=found.get)
    told = [name for place, name in enumerate(smallest)
            if all(found[other] * (len(found) - at) <= 0.05 for at, other in enumerate(smallest[:place + 1]))]
    assert [words.rpartition(" (")[0] for words in kept.split("; ")] == told and told
    lost = [name for name in found if found[name] < 0.05 and name not in told]
    details = " ".join(made("details").split())
    assert f"with its control in {len(found)} cases" in details
    remain, _, gone = details.partition("differences remain: ")[2].partition(". These do not, though each does for itself: ")
    gone, _, others = gone.partition(". In the other ")
    assert remain.split("; ") == told and gone.split("; ") == lost
    assert others.startswith(f"{len(found) - len(told) - len(lost)} no difference")
    first = " ".join(made("findings").split())
    assert (f"corrected for all {len(found)} comparisons" in first) == ("MNIST, INT8, K = 2" in lost)


def test_every_loss_of_int8_is_among_the_limits():
    text, found = " ".join(made("limits").split()), []
    for title, file, precision in SETS:
        if precision == "int8":
            for name, words in (("k0", "K = 0"), ("k1", "K = 1"), ("k2", "K = 2"), ("k3", "K = 3"), ("all", "full BP")):
                loss = difference(correct(file, "int8", name), correct(file, "fp32", name))
                if loss.startswith("-") and "+-" in loss and "seed" not in loss:
                    found.append(f"{title.rpartition(', ')[0]}, {words}: {loss}")
    said, _, equal = text.partition("INT8 minus FP32, in points: ")[2].partition(". Elsewhere")[0].partition(
        ". At FP32's number of samples, where INT8 usually sees another: ")
    assert [words.partition(" (")[0] for words in said.split("; ")] == found and found
    lines = [line for line in table(made("table equal-samples", EXPERIMENTS)) if len(line) == 7]
    assert equal.split("; ") == [f"{line[0]}, {line[1].removeprefix('INT8 less FP32, ')}: {line[-1]}" for line in lines
                                 if line[1].startswith("INT8 less FP32") and line[-1].startswith("-")
                                 and "+-" in line[-1]]


@pytest.mark.parametrize("text", (README, EXPERIMENTS), ids=readme.DOCUMENTS[:2])
def test_no_table_but_that_of_the_goals_shows_what_has_not_run(text):
    others = re.sub(r"<!-- made: goals -->.*?<!-- end -->", "", text, flags=re.S)
    assert not re.search(r"^\|.*not run", others, re.M)


def test_results_are_of_the_whole_test_set_and_the_last_epoch():
    for row in ROWS.values():
        assert row["last_epoch"]["test_images"] == 10_000 and row["config"]["dataset"]["complete"]
        assert row["last_epoch"]["epoch"] == row["config"]["epochs"]
        assert row["config"]["validate"] == 0


def test_no_committed_result_is_a_quick_one():
    paths = list((ROOT / "experiments/results").glob("*.json"))
    assert paths and not any(json.loads(path.read_text()).get("quick") for path in paths)


def test_the_run_shown_is_that_of_the_digest():
    shown = made("last lines")
    assert re.search(r"sha256\s+([0-9a-f]{64})", shown)[1] == ROWS["k2"]["weights_sha256"]
    assert f"{ROWS['k2']['last_epoch']['test_correct']:,} of 10,000" in shown


def test_agreements_of_the_loss_are_those_measured():
    for run in result("loss_sign")["runs"]:
        assert f"{run['integer_agrees']:,} of {run['steps']:,}" in " ".join(EXPERIMENTS.split())
        assert f"{run['coarse_agrees']:,}" in made("agreement", EXPERIMENTS) and run["integer_agrees"] >= 0.995 * run["steps"]


def test_runs_that_float64_steers_end_in_the_same_weights():
    shown = re.search(r"the same weights at K = ([\d, ]+)\.", " ".join(made("agreement", EXPERIMENTS).split()))[1].split(", ")
    exact = result("accuracy_float_loss")["rows"]
    assert shown and all(exact[f"k{k}"]["weights_sha256"] == ROWS[f"k{k}"]["weights_sha256"] and
                         exact[f"k{k}"]["config"]["loss"] == "float" for k in shown)


def result(name):
    return json.loads((ROOT / f"experiments/results/{name}.json").read_text())


def test_limits_of_the_speed_are_those_measured():
    section = made("speed limits", EXPERIMENTS)
    speed = result("speed")
    for name in ("einsum_int16", "einsum_int32", "einsum_int32_2mb", "einsum_int64", "float32_blas"):
        assert f"{speed['kernels'][name]:.1f}" in section, name
    for row in result("torch_step")["rows"]:
        assert f"{row['zo_numpy_over_torch']:.2f}" in section, row
    for name in ("epoch_k2_b64_s_int8", "epoch_k2_b64_s_fp32", "matmul_1t"):
        assert f"{speed['ratios'][name]:.1f}" in section, name


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z][a-z0-9-]+)(?=[ `]|$)", README, re.M))))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_files_and_functions_named_exist():
    for document, folder in ((README, ROOT), (EXPERIMENTS, ROOT / "experiments")):
        for path in re.findall(r"\]\(([\w/.]+)\)", document):
            assert (folder / path).exists(), path
    named = re.findall(r"`(models|rng|elastic_zo|arith|layers|tail|loss)\.(?!py`)(\w+)`", README)
    assert len(named) >= 10
    for module, function in named:
        places = [ROOT / "zo_numpy" / f"{module}.py", ROOT / "zo_numpy/int8" / f"{module}.py"]
        source = next(place for place in places if place.exists()).read_text()
        assert re.search(rf"^def {function}\(", source, re.M), f"{module}.{function}"


def test_commands_shown_are_commands():
    lines = re.findall(r"^    python -m zo_numpy (.*?)(?:  +#.*)?$", README, re.M)
    assert len(lines) >= 5
    for line in lines:
        if "--help" not in line:
            assert parse(line.partition(" > ")[0].split()).command == line.split()[0]


def test_the_example_runs_and_learns():
    code, = re.findall(r"```python\n(.*?)```", README, re.S)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) > 0.6


@pytest.mark.parametrize("name", readme.DOCUMENTS)
def test_lines_fit(name):
    assert all(len(line) <= 120 for line in (ROOT / name).read_text().splitlines() if not line.startswith("|"))


def validated(name, **wanted):
    """The validation accuracies of the candidates with these options, best first; None: an option that is not given."""
    rows = result(name)["rows"]
    return sorted((row["validation_accuracy"] for row in rows
                   if all(row["options"].get(option) == value for option, value in wanted.items())), reverse=True)


def test_what_did_not_help_is_what_the_candidates_show():
    text = " ".join(EXPERIMENTS[EXPERIMENTS.index("What did not help INT8"):
                                EXPERIMENTS.index("PointNet on ModelNet10: with three seeds")].split())
    zero = dict(bp_tail=0, batch_size=128, epochs=40, p_zero="192,224,240,248,252")
    plain, = validated("tuning_int8", **zero, r_max="15", b_zo="1", sparser=None)
    for layers in ("0,0,2,0,0", "0,0,4,0,0", "0,0,8,0,0"):
        assert f"{plain - validated('tuning_int8', **zero, sparser=layers)[0]:.1f}" in text
    dense = dict(zero, p_zero="128,192,224,240,252")
    best, twice, half = (validated("tuning_int8", **dense, r_max=r_max)[0] for r_max in ("15", "31", "7"))
    four, = validated("tuning_int8", **zero, r_max="63")
    assert f"lose {best - twice:.1f} to {plain - four:.0f} points of K = 0, half as long {best - half:.1f}." in text
    assert f"{validated('tuning_int8', bp_tail=3, queries=4)[0]:.2f} in 40 epochs" in text
    default, slower = (validated("tuning_int8", bp_tail=3, batch_size=256, zo_frozen=None, queries=None, **options)[0]
                       for options in (dict(epochs=20), dict(epochs=60, b_bp="2,1,1,1")))
    longest = validated("tuning_int8", bp_tail=3, epochs=60)[0]
    assert f"K = 3: {longest - default:+.2f}, with a slower tail beside them {slower - default:+.2f}." in text
    shown = [f"{validated('tuning_int8', bp_tail=0, epochs=epochs)[0]:.1f}" for epochs in (60, 200, 300)]
    assert f"{shown[0]}, {shown[1]} and {shown[2]} in 40, 60, 200 and 300 epochs" in text
    tuned = dict(bp_tail=0, batch_size=32, rotate=45)
    for precision, epochs in (("int8", 300), ("int8", 600), ("fp32", 60), ("fp32", 300)):
        assert f"{validated('tuning_fine_tuning', **tuned, precision=precision, epochs=epochs)[0]:.1f}" in text
    slow = dict(precision="int8", bp_tail=2, epochs=300, batch_size=32)
    assert f"{validated('tuning_fine_tuning', **slow, zo_frozen=None)[0]:.1f}, its control" in text
    assert f"control {validated('tuning_fine_tuning', **slow, zo_frozen=True)[0]:.1f} at best" in text


@pytest.mark.parametrize("title, data, precision", [(title, data, precision) for title, data in (
    ("MNIST", "mnist"), ("Fashion-MNIST", "fashion-mnist")) for precision in ("int8", "fp32")])
def test_gains_of_fine_tuning_are_those_of_the_curves_at_the_budget(title, data, precision):
    stem = f"{data}-{precision}-45-"
    chosen, rows = result("adapting")["rows"][f"{stem}k2"], result("accuracy_fine_tuning")["rows"]
    assert chosen["config"]["validate"] == 5000       # no test figure chooses a budget
    near = [accuracy >= chosen["curve"][-1] - 1 for accuracy in chosen["curve"]]
    epoch = near.index(True)

    def after(name, epoch):
        found = {seed: rows.get(f"{stem}{name}-seed{seed}" if seed else f"{stem}{name}") for seed in range(3)}
        return {seed: row["curve"][epoch] for seed, row in found.items() if row}

    then, end = ({name: after(name, when) for name in ("k0", "k2", "frozen")} for when in (epoch, -1))
    line = next(line for line in re.split("(?:^| )- (?=[A-Z])", " ".join(made("adapting", EXPERIMENTS).split()))
                if line.startswith(f"{title}, {precision.upper()}, {1024 * (epoch + 1):,} samples"))
    for words in (f"K = 2 {with_interval([*then['k2'].values()])} %, {difference(then['k2'], then['k0'])} over vanilla ZO "
                  f"and {difference(then['k2'], then['frozen'])} over its control",
                  f"{difference(end['k2'], end['k0'])} and {difference(end['k2'], end['frozen'])}."):
        assert words in line


def test_what_the_sizes_of_z_do_is_what_is_measured():
    rows, text = result("gradient_agreement")["rows"], " ".join(made("sizes of z", EXPERIMENTS).split())
    lines = dict(zip(("eps", "r_max", "p_zero"), re.split("(?:^| )- (?=[a-z])", text)[1:], strict=True))

    def share(row):
        half = stats.t.ppf(0.975, row["draws"] - 1) * row["cosine_batch_error"]
        return row["cosine_batch"] / row["theory"], half / row["theory"]

    for name, line in lines.items():
        found = [row for row in rows if name in row]
        assert line.startswith(f"{name} (") and len({(row["model"], row["state"]) for row in found}) == 4
        for model, title in (("lenet5", "LeNet-5"), ("pointnet", "PointNet")):
            for state in ("initial", "trained"):
                case = [row for row in found if (row["model"], row["state"]) == (model, state)]
                top = max(case, key=lambda row: row["cosine_batch"])
                shown = [row for row in case if sum(share(row)) < 0 or row is top] if name != "eps" else [
                    row for row in case if row["eps"] == 0.1]
                for row in shown:
                    value = f"{row[name]} with " if name != "eps" else ""
                    assert "{}{:.2f} +- {:.2f} ({})".format(value, *share(row), title) in line
    within = [eps for eps in (1e-4, 1e-3, 1e-2, 1e-1) if all(
        abs(value - 1) <= half for value, half in (share(row) for row in rows if row.get("eps") == eps))]
    assert within == [1e-4, 1e-3, 1e-2] and "at 0.0001, 0.001, 0.01. At 0.1: " in lines["eps"]


def test_the_borrowed_schedule_of_fashion_mnist_is_beside_others_on_its_own_split():
    own, = validated("tuning_fashion", p_zero=None, batch_size=None, b_bp=None, headroom=None)
    others = [row["validation_accuracy"] for row in result("tuning_fashion")["rows"] if len(row["options"]) > 3]
    text = " ".join(EXPERIMENTS.split())
    assert f"{own:.1f} % on validation, {len(others)} others {min(others):.1f} to {max(others):.1f}" in text


def test_what_a_sparser_z_does_at_a_batch_of_one_is_what_the_candidates_show():
    text = " ".join(EXPERIMENTS[EXPERIMENTS.index("A sparser z moves less by it"):].split())
    for data, k in ((name, k) for name in (None, "fashion-mnist") for k in (2, 3)):
        one = dict(data=data, bp_tail=k, batch_size=1, seed=1, tail_scale="running", zo_frozen=None)
        found = [validated("tuning_batch_size", **one, p_zero=z)[0]
                 for z in (None, "240,248,252,254,255", "248,252,254,255,255")]
        assert "K = {} {:.1f}, {:.1f} and {:.1f}".format(k, *found) in text


def test_what_was_tried_at_small_batches_is_what_the_candidates_show():
    rows, lines = result("zo_small_batch")["rows"], table(made("zo small batch", EXPERIMENTS))[2:]
    names = {line[0] for line in lines} - {"ZO as it is, over its control"}
    assert names == {name.partition(" ")[2].rpartition(", seed")[0] for name in rows} - {"frozen", "as it is"}
    for name, *cells in lines:
        here, there = ("as it is", "frozen") if name.endswith("over its control") else (name, "as it is")
        for (k, batch), shown in zip([(1, 1), (1, 8), (2, 1), (2, 8)], cells, strict=True):
            one, other = ({seed: rows[found]["correct"] / 50 for seed in (1, 2, 3)
                           if (found := f"k{k}-b{batch} {which}, seed {seed}") in rows} for which in (here, there))
            assert shown == difference(one, other)


def test_what_was_tried_on_clouds_is_what_the_candidates_show():
    text = " ".join(EXPERIMENTS[EXPERIMENTS.index("Point clouds with the running scale"):].split())
    few = dict(data=None, epochs=30, batch_size=None, zo_frozen=None)
    own, = validated("tuning_pointnet", **few, tail_scale=None, b_bp=None)
    running = validated("tuning_pointnet", **few, tail_scale="running")
    assert f"{own:.1f} with the own scale and {running[-1]:.1f} to {running[0]:.1f} with the running one" in text
    clouds, frozen = dict(data="modelnet40", bp_tail=2), dict(zo_frozen=True, tail_scale=None, b_bp=None)
    bits = {tail: validated("tuning_pointnet", **clouds, **frozen,
                            headroom=None if tail is None else f"0,0,0,0,0,0,{tail},{tail}")[0]
            for tail in (0, None, 2, 3)}
    for words in (f"(0 bits: {bits[0]:.1f}, 1: {bits[None]:.1f}, 2: {bits[2]:.1f}, 3: {bits[3]:.1f})",
                  f"({validated('tuning_pointnet', **clouds, b_bp='4,3,2,1')[0]:.1f})",
                  f"({validated('tuning_pointnet', **clouds, tail_scale='running')[0]:.1f})"):
        assert words in text


def test_schedules_of_modelnet40_are_the_best_of_their_candidates():
    rows, shown = result("pointnet_tuning_modelnet40_p128")["rows"], table(made("schedules of modelnet40", EXPERIMENTS))
    assert sorted(line[4] for line in shown[2:]) == sorted(
        f"{row['last_epoch']['validation_accuracy']:.2f}" for row in rows.values())
    of_table = pointnet.Table("tuning", "modelnet40", None, 128)
    for name, row in rows.items():   # what a candidate is said to be is what ran
        assert is_of(make_config(of_table.options(name)), row["config"])
    for precision, k, part in (("int8", 0, "p_zero"), ("int8", 2, "p_zero"), ("fp32", 0, "eta"), ("fp32", 2, "eta"),
                               ("fp32", 2, "eta_tail"), ("int8", "all", "b_bp"), ("fp32", "all", "eta_tail")):
        found = [row for row in rows.values() if (row["config"]["precision"], row["config"]["bp_tail"]) == (precision, k)
                 and not row["config"]["zo_frozen"] and row["config"]["epochs"] <= 24]   # as long as the others
        best = max(found, key=lambda row: row["last_epoch"]["validation_accuracy"])["config"]["schedules"][part]
        wanted = make_config(dict(model="pointnet", data="modelnet40", precision=precision, bp_tail=k)).schedules[part]
        assert tuple(best) == wanted


def test_no_gain_of_zo_is_told_on_modelnet10():
    told = {(kind, k): difference(*(correct("pointnet_full_p256", kind, f"k{k}{end}") for end in ("", "-frozen")))
            for kind in ("int8", "fp32") for k in (1, 2, 3)}
    assert all(one.startswith("~") for one in told.values())
    assert "no difference between ZO and its frozen control was found, at K = 1, 2 and 3" in " ".join(EXPERIMENTS.split())


def test_the_last_epochs_on_modelnet10_move_as_much_as_is_said():
    curves = {name: row["curve"][-10:] for name, row in result("pointnet_full_p256")["rows"].items()}
    spread = [f"{statistics.stdev(curves[f'int8-k{k}{end}']):.1f}" for end in ("", "-frozen") for k in (2, 3)]
    assert "{} points at K = 2 and {} at K = 3, of the controls {} and {}.".format(*spread) in " ".join(
        EXPERIMENTS.split())


def numbers(value):
    """An option's value as the tuning files and the defaults both have it."""
    if isinstance(value, str):
        return tuple(map(float, value.split(",")))
    return tuple(map(float, value)) if isinstance(value, tuple) else (float(value),)


def has_candidate(file, precision, k, wanted):
    """Whether a tuning file has a candidate with these options; what it does not name is as wanted."""
    return any(all(numbers(row["options"].get(name, value)) == numbers(value) for name, value in wanted.items())
               for row in result(file)["rows"] if row["options"].get("bp_tail") == k
               and row["options"].get("precision", precision) == precision and not row["options"].get("zo_frozen"))


def test_every_default_has_a_candidate_but_those_that_are_said_to_have_none():
    missing = [("images", *key) for key, wanted in defaults.DEFAULTS.items()
               if not has_candidate(f"tuning_{key[0]}", *key, wanted)]
    missing += [("fine-tuning", *key) for key, wanted in defaults.FINE_TUNING.items()
                if not has_candidate("tuning_fine_tuning", *key, wanted)]
    clouds = {key: {name: value for name, value in wanted.items() if (key[1], name) != (0, "eta_tail")}
              for key, wanted in defaults.POINT_DEFAULTS.items()}       # K = 0 has no tail
    missing += [("clouds", *key) for key, wanted in clouds.items() if not has_candidate("tuning_pointnet", *key, wanted)]
    assert missing == [("images", "fp32", "all"), ("fine-tuning", "fp32", 3), ("fine-tuning", "fp32", "all"),
                       ("clouds", "int8", "all"), ("clouds", "fp32", 1), ("clouds", "fp32", 2), ("clouds", "fp32", 3),
                       ("clouds", "fp32", "all")]
    counts = {name: [row["options"]["bp_tail"] for row in result(f"tuning_{name}")["rows"]] for name in ("int8", "fp32")}
    assert f"INT8 had {len(counts['int8'])} candidates" in EXPERIMENTS and counts["int8"].count("all") == 11
    assert f"FP32 had {len(counts['fp32'])}, none for full BP" in EXPERIMENTS and "all" not in counts["fp32"]
