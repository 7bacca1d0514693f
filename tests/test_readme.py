"""The README: its numbers are those of committed results, its table of lines that of the files."""
import json
import pathlib
import re

import pytest

from experiments.tables import cell

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ROWS = json.loads((ROOT / "experiments/results/accuracy_mnist_int8.json").read_text())["rows"]


def test_line_counts():
    listed = re.findall(r"^\| `([\w/]+\.py)` \| (\d+) \|", README, re.M)
    assert len(listed) >= 8
    for name, lines in listed:
        assert int(lines) == len((ROOT / "zo_numpy" / name).read_text().splitlines()), name


def mean(table, name, part=None):
    """How the README writes a cell of a table: the mean over its seeds, or that it was not run."""
    found = cell(table, name, part)
    return f"{found.mean():.2f}" if found.by_seed else "not run"


@pytest.mark.parametrize("data, title", [("mnist", "MNIST, the default"), ("fashion-mnist", "Fashion-MNIST, the same")])
def test_results_are_those_of_the_committed_runs(data, title):
    """| K = 2 | conv1 .. | INT8 | its frozen control | FP32 | its frozen control |, each the mean over its seeds."""
    section = README[README.index("## Results"):]
    lines = section[section.index(title):].split("\n\n")[1].splitlines()[2:]
    for line, name in zip(lines, ("k0", "k1", "k2", "k3", "all"), strict=True):
        _, label, _, *cells, _ = [text.strip() for text in line.split("|")]
        assert label == ("full BP" if name == "all" else f"K = {name[1]}")
        controls = name in ("k1", "k2", "k3")
        assert cells == [text for precision in ("int8", "fp32") for text in (
            mean(f"{data}-{precision}", name), mean(f"{data}-{precision}", f"{name}-frozen") if controls else "-")]


def test_gains_are_those_of_the_committed_runs():
    section = " ".join(README[README.index("## Results"):README.index("Fashion-MNIST, the same")].split())
    for baseline, words in (("k0", "seed by seed"), ("k{}-frozen", "over the frozen control")):
        written = re.findall(r"[+-]\d+\.\d\d", section[section.index(words):])
        assert written[:6] == [cell(f"mnist-{precision}", f"k{k}").gain(cell(f"mnist-{precision}", baseline.format(k)))
                               for precision in ("int8", "fp32") for k in (1, 2, 3)]


def test_fine_tuning_is_that_of_the_committed_runs():
    lines = README[README.index("| adapted by |"):].split("\n\n")[0].splitlines()[2:]
    for line, method in zip(lines, ("none", "k0", "k1", "frozen", "k2", "all"), strict=True):
        assert [text.strip() for text in line.split("|")[2:4]] == [
            mean("fine-tuning", f"mnist-{precision}-45-{method}", "all") for precision in ("int8", "fp32")]


def test_results_are_of_the_whole_test_set_and_the_last_epoch():
    for row in ROWS.values():
        assert row["last_epoch"]["test_images"] == 10_000 and row["config"]["dataset"]["complete"]
        assert row["last_epoch"]["epoch"] == row["config"]["epochs"]
        assert row["config"]["validate"] == 0


def test_the_digest_shown_is_the_run_shown():
    shown = re.search(r"weights\s+sha256\s+([0-9a-f]{64})", README)[1]
    assert shown == ROWS["k2"]["weights_sha256"]


@pytest.mark.parametrize("target", re.findall(r"\bmake ([a-z][a-z0-9-]+)", README))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_files_and_functions_named_exist():
    for path in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / path).exists(), path
    for module, function in re.findall(r"`(models|rng|elastic_zo|arith|layers|tail|loss)\.(?!py`)(\w+)`", README):
        places = [ROOT / "zo_numpy" / f"{module}.py", ROOT / "zo_numpy/int8" / f"{module}.py"]
        source = next(place for place in places if place.exists()).read_text()
        assert re.search(rf"^def {function}\(", source, re.M), f"{module}.{function}"


def test_agreements_of_the_loss_are_those_measured():
    runs = json.loads((ROOT / "experiments/results/loss_sign.json").read_text())["runs"]
    for run in runs:
        assert f"{run['integer_agrees']:,}" in README and f"{run['coarse_agrees']:,}" in README
        assert run["integer_agrees"] >= 0.995 * run["steps"]


def result(name):
    return json.loads((ROOT / f"experiments/results/{name}.json").read_text())


def test_time_and_memory_are_those_measured():
    """Every figure of the README's section, and of the section on speed beside the experiments, is in a result."""
    ratios = result("speed")["ratios"]
    section = README[README.index("## Time and memory"):README.index("## Limits")]
    for name in ("int8_over_fp32_k1_b32", "peak_int8_mb", "peak_fp32_mb", "peak_fp32_over_int8", "full_bp_over_k0_int8",
                 "full_bp_over_k0_fp32"):
        assert f"{ratios[name]:.2f}" in section, name
    assert max(abs(ratios[f"overhead_k{k}_{precision}"]) for k in (1, 2) for precision in ("int8", "fp32")) < 0.005
    assert max(abs(ratios[f"zo_over_inference_{precision}"]) for precision in ("int8", "fp32")) < 0.005


def test_limits_of_the_speed_are_those_measured():
    text = (ROOT / "experiments/README.md").read_text()
    section = text[text.index("## What limits the speed"):]
    speed = result("speed")
    for name in ("einsum_int16", "einsum_int32", "einsum_int32_2mb", "einsum_int64", "float32_blas"):
        assert f"{speed['kernels'][name]:.1f}" in section, name
    for row in result("torch_step")["rows"]:
        assert f"{row['zo_numpy_over_torch']:.2f}" in section, row
    for name in ("epoch_k2_b64_s_int8", "epoch_k2_b64_s_fp32", "matmul_1t"):
        assert f"{speed['ratios'][name]:.1f}" in section, name
