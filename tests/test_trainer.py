"""Epochs, evaluation and resuming, in this process."""
import json
from decimal import Decimal

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from datasets import Dataset
from small_runs import assert_same_run, metrics, python, refused, train, train_options, write_digits
from zo_numpy import rng
from zo_numpy.errors import UserError
from zo_numpy.int8 import elastic_zo
from zo_numpy.run import steps, trainer
from zo_numpy.run.checkpoint import digest, read_checkpoint
from zo_numpy.run.config import make_config
from zo_numpy.run.config_json import describe
from zo_numpy.run.folder import RunFolder
from zo_numpy.run.trainer import Interrupted, Run, count_correct, json_line, percent


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits):
    return train(digits, tmp_path_factory.mktemp("finished") / "run")


class Silent:
    """A progress that reports nothing."""

    def step(self, *_):
        pass

    def epoch(self, *_):
        pass


def dataset_of(images, labels, test_images, test_labels):
    classes = tuple("0123456789")
    return Dataset("made up", images, labels, test_images, test_labels, classes, "memory", True, "0" * 64)


def numbered(count, test=4):
    """Images that tell their number: training image i is all i, test images are all 200."""
    def images(values):
        return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), 1, 28, 28))
    return dataset_of(images(range(count)), np.arange(count, dtype=np.uint8) % 10, images([200] * test),
                      np.zeros(test, np.uint8))


def run_on(dataset, path, should_stop=lambda: False, method_of=steps.own_method, **given):
    """A Run of the smallest network in a new or old folder, to be used inside `with`."""
    folder = RunFolder(path)
    config = make_config({"model": "narrow-lenet", "batch_size": 4, "epochs": 2, **given})

    class Opened:
        def __enter__(self):
            folder.__enter__()
            if not folder.exists():
                folder.start(describe(config, dataset))
            return Run(config, method_of(config), dataset, folder, Silent(), should_stop)

        def __exit__(self, *error):
            folder.__exit__(*error)
    return Opened()


# Numbers for people

@pytest.mark.parametrize("correct, total, expected", [
    (0, 7, "0.00"), (7, 7, "100.00"), (1, 3, "33.33"), (2, 3, "66.66"), (9999, 10_000, "99.99"),
    (1, 20_000, "0.00")])
def test_percent_is_rounded_down(correct, total, expected):
    assert str(percent(correct, total)) == expected


def test_json_line_writes_decimals_as_numbers():
    line = json_line({"a": Decimal("97.50"), "b": 'x "y"', "c": 0.125, "d": 3})
    assert line == '{"a": 97.50, "b": "x \\"y\\"", "c": 0.125, "d": 3}'
    assert json.loads(line) == {"a": 97.5, "b": 'x "y"', "c": 0.125, "d": 3}


# Which samples

@pytest.mark.parametrize("count, batch_size, sizes", [
    (9, 4, [4, 4, 1]), (8, 4, [4, 4]), (3, 4, [3]), (1, 1, [1])])
def test_an_epoch_visits_every_sample_once_its_last_batch_partial(tmp_path, count, batch_size, sizes):
    visited = []

    def train_step(model, bp_tail, weights, images, labels, *rest):
        visited.append([int(image.max()) for image in images])
        assert_array_equal(labels, [number % 10 for number in visited[-1]])
        return 2, 1, 1

    with run_on(numbered(count), tmp_path / "run", method_of=lambda config: steps.Method(train_step),
                batch_size=batch_size, seed=5) as run:
        assert run.steps_per_epoch == len(sizes)
        run.train()
    assert [len(batch) for batch in visited] == sizes * 2
    for epoch in range(2):
        order = [number for batch in visited[epoch * len(sizes):][:len(sizes)] for number in batch]
        assert order == list(rng.shuffled(5, epoch, count)) and sorted(order) == list(range(count))


def test_validate_holds_out_the_last_and_leaves_the_test_set_alone(tmp_path):
    class Untouchable:
        """What a test set is to a run that validates: any use of it fails the test."""

        def __getattribute__(self, name):
            raise AssertionError(f"the test set's {name} was used")

        __len__ = __getitem__ = __iter__ = __array__ = lambda self, *_: pytest.fail("the test set was used")

    dataset = numbered(20)
    dataset = dataset._replace(test_images=Untouchable(), test_labels=Untouchable())
    with run_on(dataset, tmp_path / "run", validate=6) as run:
        assert [int(image.max()) for image in run.images] == list(range(14))
        assert [int(image.max()) for image in run.report[0]] == list(range(14, 20))
        assert_array_equal(run.report[1], [n % 10 for n in range(14, 20)])
        assert run.steps_per_epoch == 4 and run.report_name == "validation"   # 14 samples in batches of 4
        run.train()
    for line in metrics(tmp_path / "run"):
        assert line["validation_images"] == 6
        assert not any(key.startswith("test") for key in line)


def test_validation_and_test_results_do_not_depend_on_each_other(tmp_path, digits):
    """With other test images, a run that validates is the same, bit for bit."""
    other = write_digits(tmp_path / "other", test=30)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (other / name).write_bytes((digits / name).read_bytes())
    runs = [train(data, tmp_path / f"run of {data.name}", "--validate", 50) for data in (digits, other)]
    for name in ("steps.txt", "checkpoint.npz"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes()
    assert metrics(runs[0]) == metrics(runs[1])


@pytest.mark.parametrize("held", [20, 21, 10**9])
def test_validate_must_leave_something_to_train_on(held):
    with pytest.raises(UserError, match="20 training samples"):
        steps.parts(make_config({"validate": held}), numbered(20))
    assert len(steps.parts(make_config({"validate": 19}), numbered(20))[0][1]) == 1


@pytest.mark.parametrize("batch", [1, 3, 7, 256])
def test_count_correct_counts_the_partial_batch(batch):
    class Parity:
        """Says 1 of an odd image; notes the sizes of its batches."""
        sizes = []

        def classify(self, model, weights, images):
            self.sizes.append(len(images))
            return images.max(axis=(1, 2, 3)) % 2

    images = numbered(7).train_images
    precision = Parity()
    precision.sizes = []
    labels = np.array([0, 1, 0, 1, 1, 1, 1], np.uint8)   # wrong for images 4 and 6
    assert count_correct(precision, None, None, images, labels, batch) == 7 - 2
    assert precision.sizes == [min(batch, 7 - start) for start in range(0, 7, batch)]


# What a run leaves

def test_steps_txt_has_a_line_a_step_with_digests(tmp_path, digits):
    out = train(digits, tmp_path / "run", epochs=8)   # 104 steps
    lines = [line.split(" ") for line in (out / "steps.txt").read_text().splitlines()]
    assert [int(line[0]) for line in lines] == list(range(8 * 13))
    for number, line in enumerate(lines, 1):
        loss_plus, loss_minus, g = map(int, line[1:4])
        assert g == (loss_plus > loss_minus) - (loss_plus < loss_minus)
        assert len(line) == (5 if number in (100, 104) else 4)
    arrays, numbers = read_checkpoint(out / "checkpoint.npz")
    assert lines[-1][4] == digest(arrays) and numbers["step"] == 104 and numbers["loss_sum"] == 0
    assert lines[99][4] != lines[103][4]


def numbers_of_steps(run):
    """[step, L+, L-, g] of each line of steps.txt."""
    return [list(map(int, line.split(" ")[:4])) for line in (run / "steps.txt").read_text().splitlines()]


def test_metrics_are_those_of_the_steps(finished, digits):
    steps_made = numbers_of_steps(finished)
    for epoch, line in enumerate(metrics(finished)):
        total = sum(step[1] + step[2] for step in steps_made[13 * epoch:13 * (epoch + 1)])
        assert line["epoch"] == epoch + 1 and line["step"] == 13 * (epoch + 1)
        nats = total / 2**steps.int8.FRACTION_BITS / (2 * 200) * np.log(2)
        assert abs(line["train_loss"] - nats) < 2e-4 * nats + 1e-4
        assert line["test_images"] == 60
        assert line["test_accuracy"] == 10_000 * line["test_correct"] // 60 / 100
        assert line["r_max"] == make_config({}).at("r_max", 0)


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path, digits, finished):
    assert_same_run(train(digits, tmp_path / "again"), finished)
    other = train(digits, tmp_path / "other", "--seed", 1)
    assert (other / "steps.txt").read_bytes() != (finished / "steps.txt").read_bytes()


# Stopping and going on

def test_stopped_after_every_single_step_it_is_the_same_run(tmp_path, digits, finished):
    from datasets import load
    dataset = load("mnist", data_dir=digits, announce=lambda _: None)
    stops = 0
    for _ in range(2 * 13):
        with run_on(dataset, tmp_path / "run", lambda: True, batch_size=16) as run:
            before = run.step
            try:
                run.train()
                break
            except Interrupted:
                stops += 1
                assert run.step == before + 1
    assert stops == 2 * 13 - 1   # after the last step there is nothing to stop
    for name in ("steps.txt", "checkpoint.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()
    assert metrics(tmp_path / "run") == metrics(finished)


def test_saved_in_the_middle_of_an_epoch_its_loss_goes_on(tmp_path, digits, finished, monkeypatch):
    monkeypatch.setattr(trainer, "SAVE_EVERY_SECONDS", -1)
    saved = []
    real = RunFolder.save

    def save(self, arrays, numbers):
        saved.append((numbers["step"], numbers["loss_sum"]))
        real(self, arrays, numbers)

    monkeypatch.setattr(RunFolder, "save", save)
    train(digits, tmp_path / "run")
    lines = numbers_of_steps(finished)
    assert [step for step, _ in saved] == list(range(1, 27))
    for step, loss_sum in saved:
        assert loss_sum == sum(line[1] + line[2] for line in lines[step // 13 * 13:step])


def test_a_finished_run_resumed_is_left_as_it_was(tmp_path, digits, finished):
    out = train(digits, tmp_path / "run")
    before = (out / "metrics.jsonl").read_bytes()
    train(digits, out, "--resume")
    assert_same_run(out, finished)
    assert (out / "metrics.jsonl").read_bytes() == before


# The same bits everywhere

PRINT_FEATURES = """
import sys
try:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
except ImportError:   # NumPy 1
    from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__
"""


def dispatched():
    """The SIMD features that NumPy chooses among at run time on this machine, and that this machine has."""
    found = {}
    exec(PRINT_FEATURES, found)
    return [name for name in found["__cpu_dispatch__"] if found["__cpu_features__"].get(name)]


def test_threads_tiles_and_simd_change_no_bit(tmp_path, digits):
    """The real LeNet-5, so that batches are cut into tiles; every child says what it ran with."""
    features = dispatched()
    program = PRINT_FEATURES + """
import os
from zo_numpy import tiles
from zo_numpy.__main__ import main
tiles.TILE_BYTES = int(sys.argv.pop(1))
status = main(sys.argv[1:])
off = os.environ.get("NPY_DISABLE_CPU_FEATURES", "").split()
print("threads", tiles.threads(), "off", all(not __cpu_features__[name] for name in off), len(off))
sys.exit(status)
"""
    results = {}
    for name, threads, tile_bytes, disabled in (("one", 1, 4 << 20, []), ("two", 2, 4 << 20, []),
                                                ("three", 3, 1 << 14, []), ("no SIMD", 2, 4 << 20, features)):
        env = {"ZO_NUMPY_THREADS": str(threads), "NPY_DISABLE_CPU_FEATURES": " ".join(disabled)}
        options = train_options(digits, tmp_path / name, "--model", "lenet5", "--batch-size", 100, epochs=1)
        child = python("-c", program, tile_bytes, *options, env=env)
        assert child.returncode == 0, child.stderr
        assert child.stdout.splitlines()[-1] == f"threads {threads} off True {len(disabled)}"
        results[name] = [(tmp_path / name / file).read_bytes() for file in ("steps.txt", "checkpoint.npz")]
    assert all(result == results["one"] for result in results.values())
    if not features:
        pytest.skip("NumPy dispatches nothing on this machine; threads and tiles were compared")


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5", "", "9" * 5000])
def test_a_wrong_number_of_threads_is_refused_before_anything_is_made(tmp_path, digits, capsys, monkeypatch,
                                                                      setting):
    monkeypatch.setenv("ZO_NUMPY_THREADS", setting)
    assert "ZO_NUMPY_THREADS" in refused(capsys, *train_options(digits, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
