"""The port in C99: it agrees with the golden vectors, and no float is in its INT8 files. Needs a C compiler."""
import json
import platform
import shutil
import subprocess

import numpy as np
import pytest

from experiments import accuracy, common, pointnet, port
from experiments.port_training import Port
from experiments.rows import Row
from port_runs import same_steps, write_run
from zo_numpy.__main__ import main
from zo_numpy.app import flat_data
from zo_numpy.app.data import load_data
from zo_numpy.app.methods import method_of
from zo_numpy.golden.runs import made_lines
from zo_numpy.run.config import make_config

pytestmark = pytest.mark.skipif(not port.found_compiler(), reason=f"there is no C compiler ({port.CC})")
# All on solids, and of those on images one of each kind that solids do not have or have in another way.
SOME_RUNS = (*sorted(path.name for path in (port.GOLDEN / "runs").glob("solids-*")), *(f"subset-{kind}" for kind in (
    "int8-k2-limit", "int8-k1-coarse", "int8-k2-frozen", "int8-k3-running", "int8-k2-running-both", "int8-full-bp",
    "fp32-k3", "fp32-k0-queries3", "fp32-k1-both", "fp32-k2-frozen")))


def size_of(tier):
    """How many cases or records are committed; how many runs are checked here."""
    read = [json.loads(path.read_text()) for path in (port.GOLDEN / tier).glob({"ops": "*.json"}.get(
        tier, "*/manifest.json"))] if tier != "runs" else []
    return len(SOME_RUNS) if tier == "runs" else sum(len(file[{"ops": "cases", "traces": "records"}[tier]])
                                                     for file in read)


@pytest.mark.parametrize("tier", ["ops", "traces", "runs"])
def test_golden_vectors(built, tier):
    (_, right, text), = port.check(built / "port", (tier,), built / "data", SOME_RUNS)
    assert (right, text) == (True, f"{tier}: {size_of(tier):,} agree, 0 differ\n")


def trained(built, folder, options):
    """(lines that zo_numpy gives, lines that the port gives) of a run."""
    config, dataset = write_run(folder, **options)
    subprocess.run([str(built / "port"), "train", str(folder / "config.json"), str(folder / "data.flat"), "--out",
                    str(folder), "--save", str(folder / "weights.flat")], check=True, capture_output=True)
    expected = list(made_lines(config, method_of(config), dataset))
    return [[line for file, line in expected if file == name] for name in ("steps.txt", "evaluation.txt")], [
        (folder / name).read_text().splitlines(keepends=True) for name in ("steps.txt", "evaluation.txt")]


def test_a_row_by_the_port_is_what_zo_numpy_trains(built):
    row = Row("table", "row", dict(data="mnist-subset", bp_tail="all", tail_scale="running", batch_size=3, limit=40,
                                   epochs=2))
    lines = list(made_lines(row.config, method_of(row.config), load_data(row.config, announce=lambda text: None)))
    result = accuracy.run_row(row, port=Port(built / "port"))
    curve, correct, images = result["curve"], result["last_epoch"]["test_correct"], result["last_epoch"]["test_images"]
    assert "port_c99" in result["trained_with"] and result["config"]["tail_scale"] == "running"
    assert result["weights_sha256"] == [line for file, line in lines if file == "steps.txt"][-1].split()[-1]
    assert [f"{epoch} {round(right * images / 100)} {images}\n" for epoch, right in enumerate(curve)] == [
        line for file, line in lines if file == "evaluation.txt"] and correct == round(curve[-1] * images / 100)
    fp32 = Row("table", "row", dict(data="mnist-subset", precision="fp32", bp_tail=1))
    assert Port.trains(row.config) and not Port.trains(fp32.config)
    assert not Port.trains(make_config(dict(data="mnist-subset", loss="float")))


def test_a_row_that_starts_from_one_by_the_port_is_what_zo_numpy_trains(built, tmp_path, monkeypatch):
    """Also what is counted right before it is trained on."""
    monkeypatch.setattr(pointnet, "QUICK_RUN", {"epochs": 1, "limit": 40})
    table = pointnet.Table("tilt", "synthetic-solids", None, 16, seeds=2)
    results = {}
    for by, trainer in (("port", Port(built / "port")), ("zo_numpy", None)):
        table.port, table.runs = trainer, tmp_path / by
        results[by] = [table.run(name) for name in ("int8-upright", "int8-as-it-is", "int8-k2-seed1")]
    assert [row["last_epoch"]["test_correct"] for row in results["port"]] == [
        row["last_epoch"]["test_correct"] for row in results["zo_numpy"]]
    assert [row.get("weights_sha256") for row in results["port"]] == [
        row.get("weights_sha256") for row in results["zo_numpy"]]
    for module in (common, pointnet):   # on another machine the source has no run
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    table.port, table.runs = Port(built / "port"), tmp_path / "elsewhere"
    table.run_all("int8-k2-seed1", apart=False)
    row, = table.results().values()
    assert row["weights_sha256"] == results["port"][-1]["weights_sha256"]


@pytest.mark.parametrize("options", [
    dict(model="lenet5", data="mnist-subset", bp_tail="all", epochs=2, batch_size=24, limit=60, validate=50),
    dict(model="lenet5", data="mnist-subset", bp_tail="all", epochs=1, batch_size=200, limit=200, validate=20),
    dict(model="narrow-pointnet", data="synthetic-solids", bp_tail="all", epochs=1, batch_size=9, limit=40, points=70,
         validate=20, seed=3),
    dict(model="narrow-lenet", data="mnist-subset", bp_tail=2, epochs=2, batch_size=7, limit=30, validate=20,
         queries=2, tail_passes="both", loss="coarse"),
    dict(model="narrow-pointnet", data="synthetic-solids", bp_tail=1, epochs=3, batch_size=16, limit=40, points=33,
         validate=20, augment=2, spin=90, noise=20),
    dict(model="narrow-lenet", data="mnist-subset", bp_tail=2, epochs=2, batch_size=1, limit=150, validate=20,
         queries=2, tail_passes="both", tail_scale="running", b_bp=(1, -2)),
    dict(model="lenet5", data="mnist-subset", bp_tail="all", epochs=1, batch_size=1, limit=70, validate=20,
         tail_scale="running", b_bp=(2,)),
    dict(model="lenet5", data="mnist-subset", bp_tail="all", epochs=1, batch_size=200, limit=400, validate=20,
         tail_scale="running", b_bp=(-8,)),
    dict(model="narrow-pointnet", data="synthetic-solids", bp_tail="all", epochs=2, batch_size=9, limit=40, points=70,
         validate=20, tail_scale="running", b_bp=(1,)),
], ids=["full BP", "full BP, more terms than 32 bits hold", "full BP of points", "queries, both passes, coarse",
        "variants of clouds", "running scale, single samples", "running scale, full BP",
        "running scale, full BP, large shifts", "running scale, full BP of points"])
def test_ends_in_the_same_digest(built, tmp_path, options):
    expected, got = trained(built, tmp_path, dict(options, precision="int8"))
    assert got == expected


OWN = {
    "mnist-subset": [{"type": "Conv2d", "name": "conv", "out_channels": 3, "kernel": 5, "pad": 1},
                     {"type": "MaxPool2d", "size": 3}, {"type": "ReLU"}, {"type": "Flatten"},
                     {"type": "Linear", "name": "one", "out_features": 9}, {"type": "ReLU"},
                     {"type": "Linear", "name": "two", "out_features": 12},   # no ReLU after it
                     {"type": "Linear", "name": "last"}],
    "synthetic-solids": [{"type": "PointLinear", "name": "shared", "out_channels": 7},
                         {"type": "BatchNorm", "name": "norm"}, {"type": "MaxOverPoints"}, {"type": "ReLU"},
                         {"type": "Linear", "name": "last"}],
}


@pytest.mark.parametrize("data, bp_tail", [("mnist-subset", "1"), ("mnist-subset", "3"), ("mnist-subset", "all"),
                                           ("synthetic-solids", "1")])
def test_own_network_on_named_data_ends_in_the_same_digest(built, tmp_path, data, bp_tail):
    (tmp_path / "own.json").write_text(json.dumps(OWN[data]))
    run, given = tmp_path / "run", built / "data" / data
    points = ["--points", "50"] if data == "synthetic-solids" else []
    assert main(["train", "--model", str(tmp_path / "own.json"), "--data", data, "--bp-tail", bp_tail, "--epochs", "2",
                 "--limit", "90", "--validate", "60", "--batch-size", "20", *points, "--out", str(run)]) == 0
    if points:   # no IDX files
        given = tmp_path / "data"
        assert main(["golden", "export-data", str(given), "--run", str(run)]) == 0
    subprocess.run([str(built / "port"), "train", str(run / "config.json"), str(given), "--out", str(tmp_path)],
                   check=True, capture_output=True)
    assert (tmp_path / "steps.txt").read_text() == (run / "steps.txt").read_text()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="has instructions of x86-64")
def test_the_build_that_trains_rows_agrees(built, tmp_path):
    """With a processor that has AVX-512 VNNI these are other products; the widths below are no multiples of a vector's,
    or odd."""
    port.build(tmp_path, port.TRAINING)
    runs = [name for name in SOME_RUNS if "solids-int8" in name]
    (_, right, text), = port.check(tmp_path / "port", ("runs",), built / "data", runs)
    assert (right, text) == (True, f"runs: {len(runs)} agree, 0 differ\n")
    layers = [layer for width in (80, 67, 64, 33, 48) for layer in (
        {"type": "PointLinear", "name": f"shared{width}", "out_channels": width},
        {"type": "BatchNorm", "name": f"norm{width}"}, {"type": "ReLU"})]
    (tmp_path / "own.json").write_text(json.dumps([*layers[:-1], {"type": "MaxOverPoints"}, layers[-1],
                                                   {"type": "Linear", "name": "last"}]))
    run = tmp_path / "run"
    assert main(["train", "--model", str(tmp_path / "own.json"), "--data", "synthetic-solids", "--bp-tail", "1",
                 "--epochs", "1", "--limit", "60", "--validate", "60", "--batch-size", "20", "--points", "77",
                 "--out", str(run)]) == 0
    assert same_steps(tmp_path, run, tmp_path / "work")


def test_starts_from_given_weights(built, tmp_path):
    options = dict(model="narrow-lenet", data="mnist-subset", bp_tail=1, epochs=1, batch_size=8, limit=8, validate=8,
                   precision="int8", seed=5)
    trained(built, tmp_path, options)
    first = (tmp_path / "weights.flat").read_bytes()
    assert first[:8] == flat_data.MAGIC
    program = [str(built / "port"), "train", str(tmp_path / "config.json"), str(tmp_path / "data.flat")]
    again = subprocess.run([*program, "--from", str(tmp_path / "weights.flat")], capture_output=True, text=True,
                           check=True).stdout
    from_scratch = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert again.split() and again != from_scratch
    wrong = tmp_path / "wrong.flat"
    wrong.write_bytes(flat_data.flat({"conv1": np.zeros(3, np.int8)}))
    done = subprocess.run([*program, "--from", str(wrong)], capture_output=True, text=True)
    assert done.returncode == 2 and "error: the given weights have no int8 conv1 of the right size" in done.stderr


def test_damaged_data_are_refused(built, tmp_path):
    trained(built, tmp_path, dict(model="narrow-lenet", data="mnist-subset", bp_tail=0, epochs=1, limit=8, validate=8,
                                  precision="int8"))
    whole = (tmp_path / "data.flat").read_bytes()
    for cut in (5, 11, 40, 70, len(whole) - 1):
        (tmp_path / "cut.flat").write_bytes(whole[:cut])
        words = [str(built / "port"), "train", str(tmp_path / "config.json"), str(tmp_path / "cut.flat")]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(not shutil.which("avr-gcc"), reason="there is no avr-gcc, whose int has 16 bits")
def test_int8_compiles_where_int_has_16_bits():
    files = [*sorted((port.SOURCE / "int8").glob("*.c")), port.SOURCE / "rng.c", port.SOURCE / "models.c"]
    done = subprocess.run(["avr-gcc", "-mmcu=atmega2560", "-std=c99", "-pedantic", "-fsyntax-only", "-Wall", "-Wextra",
                           "-Wconversion", *map(str, files)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_int8_compiles_without_float_registers(tmp_path):
    said = port.general_registers_only(tmp_path)
    if said is None:
        pytest.skip("this machine's compiler has no -mgeneral-regs-only")
    assert said == ""


@pytest.mark.skipif(not shutil.which("objdump"), reason="there is no objdump")
def test_int8_objects_hold_no_float_arithmetic(built, tmp_path):
    objects = [*built.glob("int8_*.o"), *(built / f"{name}.o" for name in ("port_c99_rng", "port_c99_models",
                                                                           "device_device"))]
    assert len(objects) == 11 + 3
    assert port.float_instructions(objects) == []
    assert port.float_instructions(sorted(built.glob("fp32_*.o")))
    shutil.copytree(port.SOURCE, tmp_path / "port_c99")
    tail = tmp_path / "port_c99" / "int8" / "tail.c"
    line = "step[i] = (int16_t)gradient[i];"
    assert line in tail.read_text()
    tail.write_text(tail.read_text().replace(line, "step[i] = (int16_t)((float)gradient[i] * 1.5f);"))
    planted, done = port.compile_file(tail, tmp_path, (*port.BASELINE, "-Wno-conversion"))
    assert done.returncode == 0, done.stderr
    assert port.float_instructions([planted])
