"""The formats the project reads, as the harness sees them: a sound file, its reader, what a damaged one may read as.

A reader gives a value that tells right from wrong, or Reported: a difference it has told its user of. `reason` is asked
about values other than the sound file's, and says why another one is right, or None if nothing excuses it.
"""
import contextlib
import io
import json
import os
import zipfile
from typing import Callable, NamedTuple

import numpy as np

import datasets
from datasets import hdf5, idx, mirrors, modelnet, modelnet_archive, rotate
from datasets.image_set import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, digest as sha256
from datasets.mnist import MNIST
from zo_numpy.__main__ import main
from zo_numpy.app import commands, vectors as golden
from zo_numpy.app.inputs import read_clouds, read_image
from zo_numpy.clouds import RADIUS
from zo_numpy.golden import diff, ops, runs
from zo_numpy.run.checkpoint import digest
from zo_numpy.run.config_json import read_config
from zo_numpy.run.folder import RunFolder, read_description
from zo_numpy.run.metrics import read_metrics
from zo_numpy.run.origin import read_origin
from zo_numpy.run.steps import own_method

RANDOM = np.random.default_rng(0)
CLASSES = ("ball", "rod", "plate")
UNREPEATED = {"train_loss", "seconds", "images_per_second", "step", "r_max", "p_zero", "b_zo", "b_bp"}
DESCRIPTIVE = {"config", "dataset", "layers", "steps"}   # of a manifest; of a record, its inputs
OPS = ("round_shift", "requantise", "linear", "loss_sign", "schedule", "words")


class Reported(NamedTuple):
    """A difference that was found and told."""


class Format(NamedTuple):
    name: str
    path: object             # the file, sound before and after
    read: Callable           # () -> value, Reported, or an error of the user's
    reason: Callable = lambda value, sound, content: None


def quiet(*arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([str(argument) for argument in arguments]) == 0


def write_images(folder):
    folder.mkdir()
    for images, labels, count in ((TRAIN_IMAGES, TRAIN_LABELS, 60), (TEST_IMAGES, TEST_LABELS, 20)):
        (folder / images).write_bytes(idx.encode(RANDOM.integers(0, 256, (count, 28, 28), np.uint8)))
        (folder / labels).write_bytes(idx.encode((np.arange(count) % 10).astype(np.uint8)))


def write_clouds(folder):
    import h5py
    folder.mkdir()
    (folder / "shape_names.txt").write_text("\n".join(CLASSES) + "\n")
    for part in ("train", "test"):
        name = f"ply_data_{part}0.h5"
        (folder / f"{part}_files.txt").write_text(f"data/{name}\n")
        points = RANDOM.normal(size=(9, 16, 3))
        points /= np.linalg.norm(points, axis=2, keepdims=True)
        with h5py.File(folder / name, "w") as file:
            file["data"], file["label"] = points.astype(np.float32), (np.arange(9) % 3).astype(np.uint8)[:, None]


class Forked:
    """The child of datasets/hdf5.py without the start of a Python: the same code, limits and pipe, in a fork."""

    def __init__(self, paths, points):
        read, write = os.pipe()
        self.stdout, self.status = os.fdopen(read, "rb"), None
        self.number = os.fork()
        if not self.number:
            with contextlib.suppress(BaseException), open(write, "wb") as out:
                hdf5.serve(out, points, list(map(str, paths)))
            os._exit(0)
        os.close(write)

    def kill(self):
        if self.status is None:
            os.kill(self.number, 9)

    def wait(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])
        return self.status


def load(name, folder, points=8):
    dataset = datasets.load(name, data_dir=folder, announce=lambda text: None, points=points)
    return dataset.digest, dataset.source


def unverified(value, sound, content):
    """Of images without a digest of their own."""
    return "no checksum in the file: the run says `unverified copy`, its digest differs" if (
        value[0] != sound[0] and "unverified" in value[1]) else None


def other_clouds(value, sound, content):
    return "no checksum in the file: clouds, labels and names are in range, their digest differs" if (
        value[0] != sound[0]) else None


def array_of(value, sound, content):
    """Of .npy, which has no checksum: what NumPy reads, with nothing after it."""
    file = io.BytesIO(content)
    array = np.load(file, allow_pickle=False)
    if array.dtype.kind == "f" and not np.square(array.astype(np.float64)).sum(axis=-1).max() <= RADIUS**2:
        return None
    same = array.size == np.frombuffer(value[1], value[0]).size and np.array_equal(
        array.reshape(-1).astype(value[0]), np.frombuffer(value[1], value[0]))
    return "no checksum in the file: NumPy reads the same numbers" if same and not file.read() else None


def as_bytes(array):
    return array.dtype.str, array.tobytes()


def of_run(path):
    """What a run folder says: configuration, names of the classes, weights."""
    config, _, precision, weights = commands.load_run(path)
    arrays, numbers = precision.to_arrays(weights)
    return repr(config), read_description(path)["dataset"]["classes"], digest(arrays), sorted(numbers.items())


def other_metrics(value, sound, content):
    """A line may differ in what nothing else repeats; fewer lines are fewer epochs, which resuming counts."""
    def repeated(line):
        return {name: held for name, held in line.items() if name not in UNREPEATED}

    same = all(repeated(a) == repeated(b) for a, b in zip(value, sound))
    return "times, mean losses and schedules, drawn but not used; fewer epochs are refused on resuming" if (
        same and len(value) <= len(sound)) else None


def resumed(run, steps):
    with RunFolder(run) as folder:
        folder.open_logs(steps, 2)
    return (run / "steps.txt").read_bytes()


def replayed(run):
    weights, made, total = runs.replay(run, read_config(run), 60)
    return digest({name: weight.data for name, weight in weights.items()}), made, total


def shorter_log(value, sound, content):
    return "a log that ends earlier: it says how many steps of how many were replayed" if value[1] < sound[1] else None


def compared(reference, mine):
    found = diff.compare(reference, mine)
    return Reported() if found.findings or found.extra else (found.compared, found.skipped)


def descriptions_only(folder):
    sound = essential((folder / "manifest.json").read_bytes())

    def reason(value, _, content):
        return "only descriptions differ, which are not compared" if essential(content) == sound else None
    return reason


def essential(content):
    """What a comparison relies on."""
    manifest = json.loads(content)
    known = {"step", "phase", "op", "name", "dtype", "shape", "sha256", "file", *diff.NUMBERS}
    return [{k: v for k, v in record.items() if k in known} for record in manifest["records"]]


def checked_ops(path, sound):
    mismatches, count = ops.check_file(path)
    return Reported() if mismatches or path.read_bytes() != sound else count


def made_again(run, config, dataset):
    return Reported() if runs.first_difference(run, config, own_method(config), dataset)[1] else "equal"


def packed(folder):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, "modelnet40_ply_hdf5_2048/" + path.name)
    return content.getvalue()


def installed(archive, folder):
    """The digest of what an archive installs, which must be all that appears beside it."""
    def fetch(url, most, announce, file):
        file.write(archive.read_bytes())
    mirrors.fetch = fetch
    modelnet.COMPLETE = {"modelnet40": ((3, 9, 9),)}
    before = set(folder.parent.iterdir())
    try:
        modelnet_archive.install("https://none/x.zip", folder / "modelnet40", lambda text: None)
        found = load("modelnet40", folder)[0]
    finally:
        assert set(folder.parent.iterdir()) == before, "written outside the cache"
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()
        for path in folder.iterdir():
            path.rmdir()
    return found


def all_formats(place):
    """Makes the sound files in an empty folder.  Returns the Formats."""
    hdf5.start = Forked
    images, clouds = place / "images", place / "clouds"
    write_images(images)
    write_clouds(clouds)
    zipped = place / "zipped"
    write_images(zipped)
    (zipped / (TRAIN_IMAGES + ".gz")).write_bytes(idx.compress((zipped / TRAIN_IMAGES).read_bytes()))
    (zipped / TRAIN_IMAGES).unlink()
    digests = {name: sha256((images / name).read_bytes()) for name in FILES}
    spec = MNIST._replace(train_count=60, test_count=20, sha256=digests)
    turned, cloud, image, png = place / "turned", place / "cloud.npy", place / "image.npy", place / "image.png"
    dataset = datasets.load("mnist", data_dir=images, announce=lambda text: None)
    rotate.rotated(dataset, 45, turned)
    train = ["train", "--model", "narrow-lenet", "--data-dir", images, "--batch-size", 16, "--epochs", 2, "--out"]
    run, zero, trace, mine, again = (place / name for name in ("run", "zero", "trace", "mine", "again"))
    quiet(*train, run)
    quiet(*train, zero, "--bp-tail", 0)
    for folder in (trace, mine):
        quiet("golden", "export", folder, "--model", "narrow-lenet", "--data-dir", images, "--batch-size", 2,
              "--steps", 1)
    config = read_config(zero)
    lines = list(runs.made_lines(config, own_method(config), dataset))
    runs.made_lines = lambda *_: iter(lines)
    again.mkdir()
    for name in (runs.STEPS, runs.EVALUATION):
        (again / name).write_text("".join(text for file, text in lines if file == name))
    alone = place / "alone"
    alone.mkdir()
    (alone / "config.json").write_bytes((run / "config.json").read_bytes())
    np.save(cloud, RANDOM.uniform(-0.5, 0.5, (2, 16, 3)))
    np.save(image, RANDOM.integers(0, 256, (28, 28), np.uint8))
    import matplotlib.image
    matplotlib.image.imsave(png, np.load(image, allow_pickle=False), cmap="gray", format="png")
    archive, cache = place / "archive" / "x.zip", place / "archive" / "cache"
    cache.mkdir(parents=True)
    archive.write_bytes(packed(clouds))
    steps = sum(1 for _ in open(run / "steps.txt"))
    tensor = sorted(mine.glob("*plus*.npy"))[0]
    formats = [
        Format("idx", images / TRAIN_IMAGES, lambda: load("mnist", images), unverified),
        Format("idx labels", images / TRAIN_LABELS, lambda: load("mnist", images), unverified),
        Format("idx with a known digest", images / TEST_IMAGES,
               lambda: spec.verified(TEST_IMAGES, (images / TEST_IMAGES).read_bytes(), "file")),
        Format("gz", zipped / (TRAIN_IMAGES + ".gz"), lambda: load("mnist", zipped)),
        Format("npz of turned images", next(turned.iterdir()),
               lambda: as_bytes(rotate.rotated(dataset, 45, turned).train_images)),
        Format("checkpoint", run / "checkpoint.npz", lambda: of_run(run)),
        Format("config.json", run / "config.json", lambda: of_run(run)),
        Format("config.json alone", alone / "config.json", lambda: repr(read_config(alone)),
               lambda *_: "another valid configuration, of which nothing has been trained"),
        Format("data.json", run / "data.json", lambda: repr(read_origin(run, (1, 28, 28))),
               lambda *_: "another place or digest, which are compared with the data there"),
        Format("metrics.jsonl", run / "metrics.jsonl", lambda: read_metrics(run), other_metrics),
        Format("steps.txt, resumed", run / "steps.txt", lambda: resumed(run, steps)),
        Format("steps.txt, replayed", zero / "steps.txt", lambda: replayed(zero), shorter_log),
        Format("steps.txt of golden runs", again / runs.STEPS, lambda: made_again(again, config, dataset)),
        Format("evaluation.txt of golden runs", again / runs.EVALUATION, lambda: made_again(again, config, dataset)),
        Format("manifest compared", mine / "manifest.json", lambda: compared(trace, mine), descriptions_only(mine)),
        Format("manifest of the reference", trace / "manifest.json", lambda: compared(trace, mine),
               descriptions_only(trace)),
        Format("npy of a trace", tensor, lambda: compared(trace, mine)),
        Format("npy of the reference", trace / tensor.name, lambda: compared(trace, mine)),
        Format("npy image", image, lambda: as_bytes(read_image(image, (1, 28, 28))), array_of),
        Format("png image", png, lambda: as_bytes(read_image(png, (1, 28, 28)))),
        Format("npy clouds", cloud, lambda: as_bytes(read_clouds(cloud, 16)), array_of),
        Format("hdf5", clouds / "ply_data_train0.h5", lambda: load("modelnet", clouds), other_clouds),
        Format("list of files", clouds / "train_files.txt", lambda: load("modelnet", clouds), other_clouds),
        Format("list of classes", clouds / "shape_names.txt", lambda: load("modelnet", clouds), other_clouds),
        Format("zip of ModelNet", archive, lambda: installed(archive, cache))]
    for name in OPS:
        path = place / f"{name}.json"
        path.write_bytes((golden.GOLDEN / "ops" / path.name).read_bytes())
        formats.append(Format(f"vectors of {name}", path,
                              lambda path=path, sound=path.read_bytes(): checked_ops(path, sound)))
    return formats
