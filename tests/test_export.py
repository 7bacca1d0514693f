"""Exported weights: the .npz read back, the C header compiled and summed by a C program."""
import re
import shutil
import subprocess

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from small_runs import main, refused, snapshot, train, write_digits
from zo_numpy import models
from zo_numpy.app import export
from zo_numpy.run.checkpoint import digest, read_checkpoint

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

# Prints for each array: name, length, exponent, dimensions, sum, sum weighted by position + 1.
C_PROGRAM = """
#include <stdio.h>
#include "weights.h"
#include "weights.h"   /* the guard makes a second time harmless */
static void show(const char *name, const int8_t *data, long length, int exponent, const int *dims,
                 int count) {
    long sum = 0, weighted = 0;
    for (long i = 0; i < length; i++) { sum += data[i]; weighted += data[i] * (i + 1); }
    printf("%s %ld %d", name, length, exponent);
    for (int i = 0; i < count; i++) printf(" %d", dims[i]);
    printf(" %ld %ld\\n", sum, weighted);
}
int main(void) {
SHOW
    return 0;
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; the tests export from it into folders of their own."""
    folder = tmp_path_factory.mktemp("export")
    return train(write_digits(folder / "digits"), folder / "run")


@pytest.fixture(scope="module")
def weights(run):
    return read_checkpoint(run / "checkpoint.npz")


def test_npz_round_trip(run, weights, tmp_path, capsys):
    out = tmp_path / "weights.npz"
    assert main(["export", str(run), "--out", str(out)]) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    arrays, numbers = weights
    with np.load(out, allow_pickle=False) as exported:
        assert set(exported.files) == set(arrays) | {f"{name}.exponent" for name in arrays}
        for name, array in arrays.items():
            assert exported[name].dtype == np.int8
            assert_array_equal(exported[name], array)
            assert exported[f"{name}.exponent"].dtype == np.int32
            assert exported[f"{name}.exponent"] == numbers[f"{name}.exponent"]
        assert digest({name: exported[name] for name in arrays}) == digest(arrays)


def test_export_goes_into_the_run_unless_told_otherwise(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    before = snapshot(tmp_path)
    for kind, name in (("npz", "weights.npz"), ("c", "weights.h")):
        assert main(["export", str(tmp_path / "run"), "--format", kind]) == 0
        first = (tmp_path / "run" / name).read_bytes()
        assert main(["export", str(tmp_path / "run"), "--format", kind]) == 0   # replaces it
        assert (tmp_path / "run" / name).read_bytes() == first
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"run/weights.npz", "run/weights.h"}


def compile_and_run(folder, *flags):
    """What main.c in a folder prints; the compiler's warnings are errors."""
    command = [COMPILER, "-Wall", "-Werror", *flags, "-o", folder / "main", folder / "main.c"]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    return subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout


def expected_line(name, array, exponent):
    flat = [int(value) for value in array.reshape(-1)]
    weighted = sum(value * (i + 1) for i, value in enumerate(flat))
    return " ".join(map(str, [name, array.size, exponent, *array.shape, sum(flat), weighted]))


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_c_header_compiles_without_a_warning_and_holds_the_weights(run, weights, tmp_path, standard):
    arrays, numbers = weights
    assert main(["export", str(run), "--format", "c", "--out", str(tmp_path / "weights.h")]) == 0
    show = []
    for name, array in arrays.items():
        dims = ", ".join(f"RUN_{name.upper()}_DIM{axis}" for axis in range(array.ndim))
        show.append(f'{{ const int dims[] = {{{dims}}}; show("{name}", run_{name}_weight, '
                    f'sizeof run_{name}_weight, RUN_{name.upper()}_EXPONENT, dims, {array.ndim}); }}')
    (tmp_path / "main.c").write_text(C_PROGRAM.replace("SHOW", "\n".join(show)))
    printed = compile_and_run(tmp_path, f"-std={standard}", "-Wextra", "-Wpedantic")
    assert printed.splitlines() == [expected_line(name, array, numbers[f"{name}.exponent"])
                                    for name, array in arrays.items()]


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
def test_c_header_holds_extreme_values_and_survives_any_name(tmp_path):
    arrays = {layer.name: np.resize(np.array([-127, 127, 0, -1, 1, -128], np.int8), layer.weight_shape)
              for layer in models.weight_layers(models.NARROW_LENET.layers)}
    numbers = {f"{name}.exponent": -20 for name in arrays}
    origin = "a folder named */ int broken; /* \\ ??/ \u6570"
    text = export.to_c(models.NARROW_LENET, arrays, numbers, origin, "1")
    (tmp_path / "weights.h").write_text(text, encoding="utf-8")
    (tmp_path / "main.c").write_text(C_PROGRAM.replace(
        "SHOW", 'const int d[] = {1}; show("x", x1_fc1_weight, sizeof x1_fc1_weight, X1_FC1_EXPONENT, d, 1);\n'
                "(void)x1_conv1_weight; (void)x1_conv2_weight; (void)x1_fc2_weight; (void)x1_fc3_weight;"))
    printed = compile_and_run(tmp_path, "-std=c99")
    fc1 = arrays["fc1"].reshape(-1).astype(int)
    assert printed.split() == ["x", str(fc1.size), "-20", "1", str(fc1.sum()),
                               str((fc1 * np.arange(1, fc1.size + 1)).sum())]


def test_c_header_names_the_weights_it_holds(run, weights, tmp_path):
    assert main(["export", str(run), "--format", "c", "--out", str(tmp_path / "weights.h")]) == 0
    text = (tmp_path / "weights.h").read_text()
    assert f"sha256 {digest(weights[0])}" in text
    assert max(map(len, text.splitlines())) <= 140
    numbers = re.findall(r"-?\d+", text[text.index("run_conv1_weight[50] = {") + 24:text.index("};")])
    assert list(map(int, numbers)) == [int(value) for value in weights[0]["conv1"].reshape(-1)]


NAMES = ["int", "INT", "Int", "1st", "a-b", "a_b", "a b", "a_b_2", "\u6570", "", "_", "static", "x/*", "conv1"]


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
def test_layers_of_any_names_and_two_headers_in_one_program(tmp_path):
    """Keywords, names that are no identifiers, that differ in case only, or are made alike; two networks at once."""
    model = models.Model("any", (4,), 4, tuple(models.Linear(name, 4, 4) for name in NAMES))
    uses = []
    for number, header in enumerate(("int", "a-b", "A_b 2")):
        arrays = {name: np.full((4, 4), 10 * number + i, np.int8) for i, name in enumerate(NAMES)}
        text = export.to_c(model, arrays, {f"{name}.exponent": -1 for name in NAMES}, "origin", header)
        (tmp_path / f"{number}.h").write_text(text)
        found = re.findall(r"int8_t (\w+)\[", text)
        assert len(found) == len(NAMES)
        uses += [f'printf("%d ", {name}[15]);' for name in found]
    (tmp_path / "main.c").write_text("#include <stdio.h>\n" + "".join(f'#include "{n}.h"\n' for n in (0, 1, 2, 0))
                                     + "int main(void) {\n" + "\n".join(uses) + "\nreturn 0; }\n")
    printed = compile_and_run(tmp_path, "-std=c99", "-Wextra", "-Wpedantic").split()
    assert list(map(int, printed)) == [10 * number + i for number in range(3) for i in range(len(NAMES))]


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
def test_the_headers_of_two_runs_stand_in_one_program(run, tmp_path):
    shutil.copytree(run, tmp_path / "other run")
    for source, out in ((run, "1/weights.h"), (tmp_path / "other run", "2/weights.h"), (run, "again.h")):
        (tmp_path / out).parent.mkdir(exist_ok=True)
        assert main(["export", str(source), "--format", "c", "--out", str(tmp_path / out)]) == 0
    (tmp_path / "main.c").write_text('#include "1/weights.h"\n#include "2/weights.h"\n#include "again.h"\n'
                                     "int main(void) { return run_fc1_weight[0] + other_run_fc1_weight[0] + "
                                     "run_again_fc1_weight[0] - 3 * run_fc1_weight[0]; }\n")
    compile_and_run(tmp_path, "-std=c99", "-Wno-unused-const-variable")


@pytest.mark.parametrize("out", ["nowhere/weights.npz", "folder", "file/weights.npz"])
def test_export_to_where_nothing_can_be_written(run, tmp_path, capsys, out):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    before = snapshot(tmp_path)
    for command in ("export", "compare"):
        message = refused(capsys, command, run, "--out", tmp_path / out)
        assert f"{tmp_path / out} cannot be written (" in message and "choose another file" in message
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["checkpoint.npz", "config.json", "steps.txt", "metrics.jsonl"])
def test_export_does_not_replace_the_run_itself(run, capsys, name):
    before = snapshot(run)
    for command in (["export", run], ["export", run, "--format", "flat"], ["compare", run],
                    ["golden", "export-data", "--data", "mnist-subset", "--model", "narrow-lenet", "--limit", 1]):
        for out in (run / name, run / ".." / run.name / name):
            given = [out] if command[0] == "golden" else ["--out", out]
            assert f"{name} is a file of the run itself" in refused(capsys, *command, *given)
    assert snapshot(run) == before
