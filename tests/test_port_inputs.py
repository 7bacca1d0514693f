"""What a user gives to the port in C99: configurations, data and weights that it takes, or refuses in one line."""
import gzip
import json
import re
import shutil

import numpy as np
import pytest

from experiments import port
from port_runs import refused, said, write_run
from small_runs import train, write_digits
from zo_numpy.__main__ import main
from zo_numpy.app import flat_data

pytestmark = pytest.mark.skipif(not port.found_compiler(), reason=f"there is no C compiler ({port.CC})")
IMAGES = dict(model="narrow-lenet", data="mnist-subset", bp_tail=1, epochs=1, batch_size=8, limit=8, validate=8)
CLOUDS = dict(model="narrow-pointnet", data="synthetic-solids", bp_tail=1, epochs=1, batch_size=8, limit=8, points=20,
              validate=8)


def changed(path, **fields):
    """Writes other values into a config.json, of schedules too; returns the path."""
    config = json.loads(path.read_text())
    for name, value in fields.items():
        (config["schedules"] if name in config["schedules"] else config)[name] = value
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("precision, name, value, wanted", [
    ("int8", "seed", 2**64, "18446744073709551615"), ("int8", "seed", -1, "from 0 to"), ("int8", "seed", "1", "from 0"),
    ("int8", "epochs", 1.5, "from 1 to 1000000"), ("int8", "epochs", "3", "from 1"), ("int8", "epochs", True, "from 1"),
    ("int8", "epochs", 2**32 + 1, "from 1"), ("int8", "batch_size", 0, "from 1 to 4096"),
    ("int8", "batch_size", [8], "from 1 to 4096"), ("int8", "loss", "foo", "integer or coarse"),
    ("int8", "loss", "float", "integer or coarse"), ("int8", "precision", "int16", "fp32 or int8"),
    ("int8", "tail_passes", "first", "second or both"), ("int8", "tail_scale", "walking", "own or running"),
    ("int8", "zo_frozen", 1, "true or false"), ("int8", "bp_tail", "most", "from 0"), ("int8", "queries", 65, "to 64"),
    ("int8", "limit", -1, "from 0"), ("int8", "rotate", 360, "to 359"), ("int8", "data", 7, "a text"),
    ("int8", "r_max", [15, 200], "from 1 to 63"), ("int8", "r_max", [6], "1, 3, 7, 15, 31 or 63"),
    ("int8", "p_zero", [256], "to 255"), ("int8", "b_zo", [0], "from 1"), ("int8", "b_bp", [0], "from 1 to 7"),
    ("int8", "b_bp", [], "a list of numbers"), ("int8", "headroom", [0, 0, 0, 0, 7], "from 0 to 6"),
    ("int8", "input_shape", [28, 28], "channels, rows and columns"), ("fp32", "eps", [0], "above 0, at most 1"),
    ("fp32", "eta", ["0.1"], "above 0, at most 10"), ("fp32", "clip", [1e10], "at most 1e+09")])
def test_a_value_is_refused_by_its_field(built, tmp_path, precision, name, value, wanted):
    write_run(tmp_path, **IMAGES, precision=precision)
    line = refused(built, "train", changed(tmp_path / "config.json", **{name: value}), tmp_path / "data.flat")
    assert f"config.json: {name} is " in line and wanted in line


def test_the_ends_of_ranges_are_taken(built, tmp_path):
    write_run(tmp_path, **IMAGES, precision="int8")
    config = changed(tmp_path / "config.json", seed=2**64 - 1, r_max=[63], p_zero=[255], b_zo=[6], b_bp=[7], queries=64,
                     headroom=[6, 0, 0, 0, 6])
    assert said(built, "train", config, tmp_path / "data.flat")[0] == 0
    changed(config, tail_scale="running", b_bp=[-8])
    assert said(built, "train", config, tmp_path / "data.flat")[0] == 0


def test_lists_of_another_length_and_too_many_steps(built, tmp_path):
    write_run(tmp_path, **IMAGES, precision="int8")
    config, data = tmp_path / "config.json", tmp_path / "data.flat"
    line = refused(built, "train", changed(config, headroom=[0, 0, 0, 0]), data)
    assert "headroom has 4 numbers, and the network 5 layers with weights" in line
    changed(config, headroom=[0] * 5, epochs=10**6, batch_size=1, limit=0, validate=0)
    subset = built / "data" / "mnist-subset"
    assert "1000000 epochs are more than 2^31 - 1 steps" in refused(built, "train", config, subset)
    changed(config, epochs=1, validate=10000)
    assert "with validate 10000 there are no samples left" in refused(built, "train", config, subset)


def test_networks_that_the_port_cannot_have(built, tmp_path):
    write_run(tmp_path, **IMAGES, precision="int8")
    config, data = tmp_path / "config.json", tmp_path / "data.flat"
    deep = [{"type": "Flatten"}, *({"type": "Linear", "name": f"fc{i}", "in_features": 784 if not i else 10,
                                    "out_features": 10} for i in range(25))]
    for layers, words in ((deep, "25 layers have weights; the port takes up to 24"),
                          ([*deep[:1], {**deep[1], "name": "a" * 24}], "takes up to 23 letters"),
                          ([*deep[:2], *[{"type": "ReLU"}] * 63], "a network of 65 layers; the port takes 1 to 64"),
                          ([*deep[:1], {"type": "Dropout"}], "no layer has the type Dropout"),
                          ([{"type": "MaxPool2d", "size": 0}], "size is 0; it must be a whole number from 1 to 16")):
        assert words in refused(built, "train", changed(config, layers=layers), data)


@pytest.mark.parametrize("first, second, words", [
    ((132625, 1), (1, 1), "layer a has 132625 weights and makes 103978000 numbers of a sample"),
    ((170, 1), (1, 28), "layer b sums 133280 products, and an int32 holds 132624"),
    ((1, 1), (170, 28), "133280 products make the error below layer b, and an int32 holds 132624")])
def test_sizes_that_an_int32_may_not_hold_are_refused(built, tmp_path, first, second, words):
    """As zo_numpy refuses them before a run.  first, second: output channels and kernel of two convolutions."""
    write_run(tmp_path, **IMAGES, precision="int8")
    layers = [{"type": "Conv2d", "name": name, "in_channels": into, "out_channels": out, "kernel": kernel, "pad": 0}
              for name, into, (out, kernel) in (("a", 1, first), ("b", first[0], second))]
    layers += [{"type": "Flatten"}, {"type": "Linear", "name": "out", "out_features": 10,
                                     "in_features": second[0] * (29 - second[1])**2}]
    config = changed(tmp_path / "config.json", layers=layers, bp_tail="all", headroom=[0] * 3)
    assert words in refused(built, "train", config, tmp_path / "data.flat")


@pytest.mark.parametrize("options, precision, name, change, words", [
    (CLOUDS, "int8", "train_x", lambda x: x / np.float32(127), "is float32 8 x 20 x 3, and the run takes int8"),
    (CLOUDS, "fp32", "train_x", lambda x: x.astype(np.int8), "is int8 8 x 20 x 3, and the run takes float32"),
    (CLOUDS, "fp32", "test_x", lambda x: x.astype(np.int8), "is int8 8 x 20 x 3, and the run takes float32"),
    (CLOUDS, "int8", "train_x", lambda x: x[:, :10], "is int8 8 x 10 x 3, and the run takes int8 8 x 20 x 3"),
    (IMAGES, "int8", "train_x", lambda x: x.view(np.int8), "is int8 8 x 1 x 28 x 28, and the run takes uint8"),
    (IMAGES, "fp32", "test_x", lambda x: x / np.float32(255), "is float32 8 x 1 x 28 x 28, and the run takes uint8"),
    (IMAGES, "int8", "train_x", lambda x: x[:, 0], "is uint8 8 x 28 x 28, and the run takes uint8 8 x 1 x 28 x 28"),
    (IMAGES, "int8", "train_y", lambda y: y.astype(np.int32), "is int32 8, and the run takes uint8 8"),
    (IMAGES, "int8", "test_y", lambda y: y[None], "is uint8 1 x 8, and the run takes uint8 1"),
    (IMAGES, "int8", "train_x", lambda x: x[:7], "is uint8 7 x 1 x 28 x 28, and the run takes uint8 8 x"),
    (IMAGES, "int8", "test_y", lambda y: y + (np.arange(8) == 5).astype(np.uint8) * 10, "label 5 of test_y is 1"),
    (dict(CLOUDS, augment=2), "int8", "train_x", lambda x: x[:1], "is int8 1 x 8 x 20 x 3, and the run takes int8 2 x"),
])
def test_a_flat_file_of_another_type_or_shape_is_refused(built, tmp_path, options, precision, name, change, words):
    write_run(tmp_path, **options, precision=precision)
    arrays, _ = flat_data.arrays_of((tmp_path / "data.flat").read_bytes())
    arrays[name] = change(arrays[name])
    (tmp_path / "data.flat").write_bytes(flat_data.flat(arrays))
    line = refused(built, "train", tmp_path / "config.json", tmp_path / "data.flat")
    assert name in line and words in line


def test_a_flat_file_may_have_any_name_and_a_folder_is_no_configuration(built, tmp_path):
    write_run(tmp_path, **IMAGES, precision="int8")
    (tmp_path / "data.flat").rename(tmp_path / "data")
    assert said(built, "train", tmp_path / "config.json", tmp_path / "data")[0] == 0
    assert "neither a folder of four IDX files nor a flat file" in refused(
        built, "train", tmp_path / "config.json", tmp_path / "config.json")
    assert f"{tmp_path} cannot be read; give the config.json of a run" in refused(
        built, "train", tmp_path, tmp_path / "data")


def test_compressed_idx_files_are_to_be_unpacked(built, tmp_path):
    write_run(tmp_path, **IMAGES, precision="int8")
    digits = write_digits(tmp_path / "digits")
    assert said(built, "train", tmp_path / "config.json", digits)[0] == 0
    images = digits / "train-images-idx3-ubyte"
    images.write_bytes(gzip.compress(images.read_bytes()))
    line = refused(built, "train", tmp_path / "config.json", digits)
    assert "train-images-idx3-ubyte is compressed; unpack it: gunzip" in line
    images.rename(f"{images}.gz")
    line = refused(built, "train", tmp_path / "config.json", digits)
    assert "train-images-idx3-ubyte.gz is compressed; unpack it: gunzip" in line


@pytest.mark.parametrize("options, changes, what", [
    (dict(IMAGES, rotate=30), {}, "turned pictures (rotate)"), (CLOUDS, {}, "point clouds"),
    (IMAGES, dict(data="mine.npz", input_shape=[1, 28, 28], classes=10), "pictures of one's own")])
def test_plain_idx_files_are_refused_where_they_lack_the_data(built, tmp_path, options, changes, what):
    write_run(tmp_path, **options, precision="int8")
    changed(tmp_path / "config.json", **changes)
    line = refused(built, "train", tmp_path / "config.json", built / "data" / "mnist-subset")
    assert what in line and "python -m zo_numpy golden export-data FILE --run RUN" in line
    assert said(built, "train", tmp_path / "config.json", tmp_path / "data.flat")[0] == 0


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_run_that_starts_from_another_needs_its_weights(built, tmp_path, precision):
    digits = write_digits(tmp_path / "digits")
    first = train(digits, tmp_path / "first", "--precision", precision)
    second = train(digits, tmp_path / "second", "--precision", precision, "--init-from", first)
    line = refused(built, "train", second / "config.json", digits)
    assert "starts from the weights of" in line and "--from FIRST.flat" in line
    assert main(["export", str(first), "--format", "flat", "--out", str(tmp_path / "first.flat")]) == 0
    words = ("train", second / "config.json", digits, "--from", tmp_path / "first.flat", "--out", tmp_path)
    assert said(built, *words)[::2] == (0, "")
    expected, got = [(folder / "steps.txt").read_text().splitlines() for folder in (second, tmp_path)]
    if precision == "int8":
        assert got == expected
    assert float(got[0].split()[1]) == pytest.approx(float(expected[0].split()[1]), rel=1e-4)


def test_names_that_a_flat_file_has_no_room_for(built, tmp_path, capsys):
    layers = [{"type": "Conv2d", "name": "c", "out_channels": 1, "kernel": 28, "pad": 0}, {"type": "Flatten"},
              {"type": "Linear", "name": "a" * 24}]
    (tmp_path / "own.json").write_text(json.dumps(layers))
    run = train(write_digits(tmp_path / "digits"), tmp_path / "run", "--model", tmp_path / "own.json",
                "--bp-tail", 1)
    capsys.readouterr()
    assert main(["export", str(run), "--format", "flat"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and f"{'a' * 24} is a name of 24 letters, and a flat file has room for 23" in line
    assert not (run / "weights.flat").exists()
    layers[2]["name"] = "a" * 20   # its parameters in FP32 are aaa....weight, aaa....bias
    write_run(tmp_path, **dict(IMAGES, model="own.json"), layers=layers, precision="fp32")
    line = refused(built, "train", tmp_path / "config.json", tmp_path / "data.flat", "--save", tmp_path / "w.flat")
    assert f"the name {'a' * 20}.weight is too long for a flat file (--save)" in line


@pytest.mark.parametrize("name, options, lines", [
    ("solids-int8-k1-queries3", ["--single", "log"], "passes, 117 lines"),
    ("solids-int8-k1-queries3", [], "passes in part, 116 lines, 1 not there"),
    ("solids-int8-k0", [], "passes, 116 lines"), ("solids-fp32-k3", ["--single", "no"], "passes, 116 lines")])
def test_a_trained_folder_passes_as_the_golden_run(built, tmp_path, capsys, name, options, lines):
    out = tmp_path / "runs" / name
    out.mkdir(parents=True)
    status, printed, _ = said(built, "train", port.GOLDEN / "runs" / name / "config.json",
                              built / "data" / f"{name}.flat", "--out", out, *options)
    assert status == 0 and ("one at a time" in printed) == (options != ["--single", "no"])
    capsys.readouterr()
    assert main(["golden", "check", "--port", str(tmp_path)]) == 0
    assert f"runs/{name}: {lines}\n" in capsys.readouterr().out


def test_a_difference_in_a_trace_of_fp32_names_its_element(built, tmp_path):
    name = "narrow-lenet-fp32-k1"
    shutil.copytree(port.GOLDEN / "traces" / name, tmp_path / name)
    path = sorted((tmp_path / name).glob("*_s0_plus_Conv2d_conv1.npy"))[0]
    content = bytearray(path.read_bytes())
    element = np.frombuffer(content, "<f4", offset=128)
    assert element.size > 1234
    element[1234] += 1
    path.write_bytes(content)
    status, printed, _ = said(built, "check", "traces", tmp_path, name)
    assert status == 1 and f"element 1234: expected {element[1234]:.9g}, got " in printed
    manifest = tmp_path / name / "manifest.json"
    shutil.copy(port.GOLDEN / "traces" / name / path.name, path)
    content = json.loads(manifest.read_text())
    record = next(record for record in content["records"] if "sample" in record and record["shape"] == [16, 147])
    record["sample"][3] += 1
    manifest.write_text(json.dumps(content))
    status, printed, _ = said(built, "check", "traces", tmp_path, name)
    assert status == 1 and f"element {3 * (16 * 147 - 1) // 7}: expected " in printed


def test_there_are_about_as_many_lines_as_the_readme_says():
    text = (port.SOURCE / "README.md").read_text()
    found = re.search(r"about ([\d,]+) lines for INT8 .* and ([\d,]+) more for\s+FP32", text)
    for number, patterns in zip(found.groups(), (("models.*", "int8/*.[ch]"), ("fp32/*.[ch]",))):
        files = [path for pattern in patterns for path in port.SOURCE.glob(pattern)]
        lines = sum(len(path.read_text().splitlines()) for path in files)
        assert lines == pytest.approx(int(number.replace(",", "")), rel=0.05)
