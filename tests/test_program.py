"""The C program that `export --format c --out DIR` writes: it builds silently, passes its self-test, classifies and
trains as zo_numpy does. Needs a C compiler and make."""
import shutil
import subprocess

import numpy as np
import pytest

from small_runs import main, refused, train, write_digits
from zo_numpy import models, rng
from zo_numpy.app import commands
from zo_numpy.app.data import load_data
from zo_numpy.app.flat_data import MAGIC
from zo_numpy.run.config import option
from zo_numpy.run.config_json import read_config
from zo_numpy.run.steps import parts
from zo_numpy.run.trainer import count_correct

builds = pytest.mark.skipif(not (shutil.which("cc") and shutil.which("make")), reason="there is no cc or no make")
CLOUDS = ["train", "--model", "narrow-pointnet", "--data", "synthetic-solids", "--offline", "--limit", "24",
          "--points", "40", "--epochs", "1", "--batch-size", "8"]
MODELS = {
    "images": [],
    "single samples, running scale": ["--batch-size", "1", "--tail-scale", "running", "--b-bp=2,-1", "--limit", "20"],
    "both passes, queries, coarse": ["--bp-tail", "3", "--tail-passes", "both", "--queries", "2", "--loss", "coarse"],
    "full BP, running scale": ["--bp-tail", "all", "--limit", "48", "--tail-scale", "running", "--b-bp=1"],
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("program") / "digits")


def exported(run, folder):
    assert main(["export", str(run), "--format", "c", "--out", str(folder)]) == 0
    return folder


def built(folder, *more):
    """The program of an exported folder."""
    done = subprocess.run(["make", "-s", "-C", str(folder), "CFLAGS=-O0", *more], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    source, = folder.glob("*_model.c")
    return folder / source.name.removesuffix("_model.c")


def said(path, *words, given=b""):
    done = subprocess.run([str(path), *map(str, words)], input=given, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode()


def in_order(config):
    """(samples, labels) of a run's first epoch, in the order of its steps."""
    (samples, labels), _, _ = parts(config, load_data(config, config_data.get(config.data), offline=True,
                                                      announce=lambda text: None))
    order = rng.shuffled(config.seed, 0, len(labels))
    return samples[order], labels[order]


config_data = {}   # where the tests' own data are


def records_of(samples, labels):
    """What `train` reads."""
    return b"".join(bytes([label]) + sample.tobytes() for sample, label in zip(samples, labels))


def agrees_with_next_run(run, data, folder, options):
    """The program trains as a run that starts from its weights, and classifies as `predict` would."""
    config = read_config(run)
    more = [f"{option(name)}={config.at(name, config.epochs - 1)}" for name in config.schedules]
    given = [word for word in options if not word.startswith("--b-bp")]
    again = folder / "again"
    assert main([*given, *data, "--init-from", str(run), *more, "--epochs", "1", "--out", str(again)]) == 0
    config_data["mnist"] = data[1] if data else None
    path = built(exported(run, folder / "net"))
    assert said(path, "test").startswith("self-test of net passed")
    samples, labels = in_order(read_config(again))
    records = records_of(samples, labels)
    *lines, digest = said(path, "train", given=records).splitlines()
    expected = [line.split() for line in (again / "steps.txt").read_text().splitlines()]
    assert lines == [" ".join(words[:4]) for words in expected]
    assert digest == f"weights sha256 {expected[-1][-1]}"
    _, model, precision, weights = commands.load_run(again)
    others = samples[3:20], labels[3:20]
    right = count_correct(precision, model, weights, *others, batch=1)
    assert said(path, "train", len(labels), given=records + records_of(*others)).splitlines() == [
        *lines, digest, f"right {right} of 17"]
    _, model, precision, weights = commands.load_run(run)
    assert said(path, "classify", given=samples[:20].tobytes()).split() == [
        str(precision.classify(model, weights, sample[None])[0]) for sample in samples[:20]]
    return path


@builds
@pytest.mark.parametrize("name", MODELS)
def test_program_trains_and_classifies_like_zo_numpy(digits, tmp_path, name):
    options = ["train", "--model", "narrow-lenet", "--batch-size", "16", *MODELS[name]]
    assert main([*options, "--data-dir", str(digits), "--epochs", "2", "--out", str(tmp_path / "run")]) == 0
    path = agrees_with_next_run(tmp_path / "run", ["--data-dir", str(digits)], tmp_path, options)
    kinds = [line.split()[0] for line in said(path, "memory").splitlines()]
    assert kinds == ["const", "static", "stack", "`memory`"]


@builds
def test_program_of_points(tmp_path):
    assert main([*CLOUDS, "--out", str(tmp_path / "run")]) == 0
    agrees_with_next_run(tmp_path / "run", [], tmp_path, CLOUDS)


@builds
def test_self_test_notices_another_weight_and_another_rule(digits, tmp_path):
    folder = exported(train(digits, tmp_path / "run", epochs=1), tmp_path / "net")
    source = folder / "net_model.c"
    text, tail = source.read_text(), folder / "port_c99" / "int8" / "tail.c"
    begin = text.index("{", text.index("net_conv1_weight["))
    number = text[begin + 1:].split(",")[0].strip()
    source.write_text(text[:begin] + text[begin:].replace(number, str(int(number) // 2 - 5), 1))
    done = subprocess.run([str(built(folder)), "test"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "self-test of net FAILED: other than zo_numpy's are the weights\n"
    source.write_text(text)
    tail.write_text(tail.read_text().replace("error[i] : 0;", "error[i] : error[i];"))
    done = subprocess.run([str(built(folder)), "test"], capture_output=True, text=True)
    assert done.returncode == 1 and "the weights after one training step" in done.stdout


@builds
def test_batch_can_be_another(digits, tmp_path):
    path = built(exported(train(digits, tmp_path / "run", epochs=1), tmp_path / "net"), "DEFINES=-DNET_BATCH=1")
    assert "passed: logits of 4 samples" in said(path, "test") and "at a batch of 1\n" in said(path, "memory")
    assert len(said(path, "train", given=bytes(3 * 785)).splitlines()) == 3 + 1
    assert len(said(path, "train", 2, given=bytes(3 * 785)).splitlines()) == 2 + 1 + 1


@builds
def test_two_models_stand_in_one_program(digits, tmp_path):
    first = exported(train(digits, tmp_path / "run", epochs=1), tmp_path / "first")
    assert main([*CLOUDS, "--out", str(tmp_path / "clouds")]) == 0
    second = exported(tmp_path / "clouds", tmp_path / "second")
    for name in ("second_model.c", "second_model.h"):
        shutil.copy(second / name, first / name)
    (first / "both.c").write_text("""
#include <stdio.h>
#include "first_model.h"
#include "second_model.h"
static int64_t memory[2][1 << 16];
static struct device one, two;
int main(void)
{
    if (!device_begin(&one, &first_model, (unsigned char *)memory[0], sizeof memory[0]) ||
        !device_begin(&two, &second_model, (unsigned char *)memory[1], sizeof memory[1]))
        return 1;
    for (int i = 0; i < 2; i++)
        if (device_self_test(&one) || device_self_test(&two))
            return 2;
    return device_begin(&one, &first_model, (unsigned char *)memory[0], 100) ? 3 : 0;
}
""")
    sources = [path for path in first.rglob("*.c") if path.parent.name not in ("program", "cortex_m")]
    subprocess.run(["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-I", str(first), "-o",
                    str(first / "both"), *map(str, sources)], check=True)
    assert subprocess.run([str(first / "both")]).returncode == 0


@builds
def test_names_that_are_no_identifiers(digits, tmp_path, monkeypatch):
    names = dict(zip(("conv1", "conv2", "fc1", "fc2", "fc3"),
                     ("1 \u6570*/", "int", 'a-b"\\', "A_b__", "a name longer than any that the port has")))
    renamed = models.NARROW_LENET._replace(layers=tuple(
        layer._replace(name=names[layer.name]) if hasattr(layer, "name") else layer
        for layer in models.NARROW_LENET.layers))
    monkeypatch.setitem(models.MODELS, "narrow-lenet", renamed)
    run = train(digits, tmp_path / "run", epochs=1)
    folder = tmp_path / "2 n\u00e9ts;"
    path = built(exported(run, folder))
    assert said(path, "test").startswith(f"self-test of {path.name} passed")
    assert main(["export", str(run), "--format", "c", "--out", str(tmp_path / "weights.h")]) == 0
    (tmp_path / "weights.c").write_text('#include "weights.h"\nint main(void)\n{\n    return run_a_b___weight[0] * 0 + '
                                        "run_int_weight[0] * 0 + run_A_b___2_weight[0] * 0;\n}\n")
    done = subprocess.run(["cc", "-std=c99", "-pedantic", "-Wno-unused-variable", "-Werror", "-c", "-o",
                           str(tmp_path / "weights.o"), str(tmp_path / "weights.c")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@builds
def test_bad_input_of_the_program(digits, tmp_path):
    path = built(exported(train(digits, tmp_path / "run", epochs=1), tmp_path / "net"))
    for words, given, message in (("train", b"\x0a" + bytes(784), b"error: the label 10 is no class"),
                                  ("train 1", bytes(785) + b"\x0a" + bytes(784), b"error: the label 10 is no class"),
                                  ("train", b"\x01" + bytes(700), b"error: the last sample is not whole"),
                                  ("classify", bytes(800), b"error: the last sample is not whole"),
                                  ("train few", b"", b"test  "), ("train 0", b"", b"test  "),
                                  ("test 1", b"", b"test  "), ("teach", b"", b"test  ")):
        done = subprocess.run([str(path), *words.split()], input=given, capture_output=True)
        assert message in done.stderr and (done.returncode or words == "classify" or "whole" in str(message))


def test_what_cannot_be_a_program(digits, tmp_path, capsys, monkeypatch):
    run = train(digits, tmp_path / "run", epochs=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    assert "is not empty" in refused(capsys, "export", run, "--format", "c", "--out", tmp_path / "full")
    assert "is not empty" in refused(capsys, "export", run, "--format", "c", "--out", tmp_path / "full" / "mine")
    coarse = train(digits, tmp_path / "float", "--loss", "float", epochs=1)
    assert "--loss float" in refused(capsys, "export", coarse, "--format", "c", "--out", tmp_path / "net")
    monkeypatch.setattr(commands, "IS_CLONE", False)   # an installed package
    assert main(["export", str(run), "--format", "c", "--out", str(tmp_path / "net")]) == 0
    assert "a program needs a clone" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["weights.h"]


def test_flat_weights_and_data(digits, tmp_path):
    run = train(digits, tmp_path / "run", epochs=1)
    assert main(["export", str(run), "--format", "flat"]) == 0
    content = (run / "weights.flat").read_bytes()
    assert content[:8] == MAGIC and b"conv1" in content and len(content) == 12 + 5 * 52 + 50 + 150 + 147 * 16 + 192 + 120
    assert main(["golden", "export-data", str(tmp_path / "a.flat"), "--run", str(run)]) == 0
    assert main(["golden", "export-data", str(tmp_path / "b.flat"), "--data-dir", str(digits), "--model",
                 "narrow-lenet"]) == 0
    assert (tmp_path / "a.flat").read_bytes() == (tmp_path / "b.flat").read_bytes()
    assert main(["golden", "export-data", str(tmp_path / "a.flat"), "--run", str(run), "--limit", "50"]) == 0
    assert len((tmp_path / "b.flat").read_bytes()) - len((tmp_path / "a.flat").read_bytes()) == 150 * 785
    assert np.frombuffer(content[8:12], "<u4")[0] == 5
