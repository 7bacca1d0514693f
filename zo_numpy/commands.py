"""What each command of the command line does.  One function a command; returns the exit status, None for 0."""
import dataclasses
import pathlib
import signal
import sys

import numpy as np

from . import __version__, export as exporting, models
from .config import config_from_json, make_config
from .errors import UserError
from .plots import draw_curves, read_metrics
from .progress import Progress, duration
from .run_folder import CONFIG, RunFolder, read_description, write_atomically
from .trainer import PRECISIONS, Interrupted, Run, count_correct, load_weights, percent

ROOT = pathlib.Path(__file__).resolve().parent.parent
if not (ROOT / "datasets" / "download.py").exists():
    raise SystemExit("error: datasets/ is not beside the zo_numpy package; run from a clone of the project, or "
                     "install one with `pip install -e .`")
sys.path.insert(0, str(ROOT))   # of an editable install, called from another folder
import datasets  # noqa: E402
from datasets import DataError  # noqa: E402


def say(text):
    print(text, flush=True)


def run_name(config):
    """mnist-int8-k2-e20-s0 and the like: a folder's name from what mostly distinguishes runs."""
    frozen = "-frozen" if config.zo_frozen else ""
    return f"{config.data}-{config.precision}-k{config.bp_tail}{frozen}-e{config.epochs}-s{config.seed}"


def describe(config, dataset):
    """The JSON object of config.json: the configuration and the data it was trained on."""
    return {"format_version": 0, "zo_numpy": __version__, **dataclasses.asdict(config),
            "dataset": {"source": dataset.source, "complete": dataset.complete, "digest": dataset.digest,
                        "classes": list(dataset.classes)}}


def summary(config, dataset, model):
    """The first lines of a run."""
    head, tail = models.split_tail(model.layers, config.bp_tail)
    zo, bp = ([layer.name for layer in models.weight_layers(part)] for part in (head, tail))
    count = {layer.name: models.weight_count(layer) for layer in models.weight_layers(model.layers)}
    by_zo = "frozen at their initialisation (the control)" if config.zo_frozen else "by ZO"
    say(f"{model.name}, {config.precision}, {sum(count.values()):,} weights: "
        f"{' '.join(zo) or 'none'} {by_zo} ({sum(count[n] for n in zo):,}), "
        f"{' '.join(bp) or 'none'} by BP ({sum(count[n] for n in bp):,})")
    say(f"{'' if dataset.complete else 'NOT THE FULL DATA SET, '}{dataset.name}: {len(dataset.train_labels):,} training "
        f"and {len(dataset.test_labels):,} test samples ({dataset.source})")


def stored_config(path):
    """The Config of a run folder."""
    description = read_description(path)
    for name in ("format_version", "zo_numpy", "dataset"):
        description.pop(name, None)
    return config_from_json(description, path / CONFIG)


def flat(config):
    """A Config as the options that make it."""
    options = {**dataclasses.asdict(config), **config.schedules}
    del options["schedules"]
    return options


def check_same(config, given, stored_description, dataset, path):
    """Refuses to resume a run under another configuration or on other data, naming the first difference."""
    stored = stored_config(path)
    for name in given:
        asked, had = ((config.schedules[name], stored.schedules[name]) if name in stored.schedules
                      else (getattr(config, name), getattr(stored, name)))
        if asked != had:
            raise UserError(f"{path} was trained with {name} = {had}, not {asked}: leave the option out to resume, or "
                            "choose another --out")
    if stored_description["dataset"]["digest"] != dataset.digest:
        raise UserError(f"{path} was trained on other data ({stored_description['dataset']['source']}); now there is "
                        f"{dataset.source}: choose another --out")


def train(data_dir=None, offline=False, out=None, resume=False, **given):
    """`train`: the given options, the rest from the run being resumed, or else from the tuned defaults."""
    config = make_config(given)
    if out is None:   # a folder the user did not name must hold just this run
        out = pathlib.Path("runs") / run_name(config)
        given = flat(config)
    elif resume and (out / CONFIG).exists():
        config = make_config({**flat(stored_config(out)), **given})
    model = models.MODELS[config.model]
    with RunFolder(out) as folder:
        if folder.exists() and not resume:
            raise UserError(f"{out} holds a run already; add --resume to go on with it or choose another --out")
        dataset = datasets.load(config.data, data_dir=data_dir, offline=offline, announce=say)
        if folder.exists():
            check_same(config, given, read_description(out), dataset, out)
        summary(config, dataset, model)
        if not folder.exists():
            folder.start(describe(config, dataset))
        stop = []
        previous = signal.signal(signal.SIGINT, lambda *_: interrupt(stop))
        try:
            run = Run(config, dataset, folder, None, lambda: bool(stop))
            run.progress = Progress(sys.stdout, run.step, run.total_steps, config.batch_size)
            say(f"{config.epochs} epochs of {run.steps_per_epoch:,} steps, batch {config.batch_size}, seed "
                f"{config.seed}, in {out}" + (f", resumed at step {run.step:,}" if run.step else ""))
            run.train()
        except Interrupted:
            run.progress.clear()
            print(f"interrupted: step {run.step:,} of {run.total_steps:,} is saved; go on with: python -m zo_numpy "
                  f"train --resume --out {out}", file=sys.stderr)
            return 130
        finally:
            signal.signal(signal.SIGINT, previous)
        draw_curves(out, f"{out.name}: {config.precision}, K = {config.bp_tail}, {dataset.name}"
                    + ("" if dataset.complete else " (embedded subset)"))
        say(last_line(run, dataset, out))
    return 0


def interrupt(stop):
    """The first Ctrl-C asks the run to save and stop after its step; the second does not wait."""
    if stop:
        raise KeyboardInterrupt
    stop.append(True)


def last_line(run, dataset, out):
    """Accuracy, time, digest and folder of a finished run."""
    metrics = read_metrics(out)
    correct = metrics[-1][run.report_name + "_correct"]
    images, labels = run.report
    alone = count_correct(run.precision, run.model, run.weights, images, labels, batch=1)
    seconds = sum(line["seconds"] for line in metrics)
    subset = "" if dataset.complete else f" - NOT THE FULL DATA SET: {dataset.source}"
    return (f"{run.report_name} accuracy {percent(correct, len(labels))} % after the last epoch ({correct:,} of "
            f"{len(labels):,}; {percent(alone, len(labels))} % one at a time), {duration(seconds)} of training, weights "
            f"sha256 {run.digest()}, {out}{subset}")


def load_run(path):
    """(config, model, precision module, weights) of a run folder."""
    config = stored_config(path)
    if not (path / "checkpoint.npz").exists():
        raise UserError(f"{path} has no checkpoint yet; finish it with: python -m zo_numpy train --resume --out {path}")
    weights, _ = load_weights(config, path)
    return config, models.MODELS[config.model], PRECISIONS[config.precision], weights


def evaluate(run, data=None, data_dir=None, offline=False):
    """`evaluate`: test accuracy of a run as it stands, in batches and one sample at a time."""
    config, model, precision, weights = load_run(run)
    dataset = datasets.load(data or config.data, data_dir=data_dir, offline=offline, announce=say)
    images, labels = dataset.test_images, dataset.test_labels
    if images.shape[1:] != model.input_shape:
        raise UserError(f"{run} takes samples of {model.input_shape}, {dataset.name} has {images.shape[1:]}: choose "
                        "another --data")
    correct = count_correct(precision, model, weights, images, labels)
    alone = count_correct(precision, model, weights, images, labels, batch=1)
    subset = "" if dataset.complete else f" - NOT THE FULL DATA SET: {dataset.source}"
    say(f"test accuracy {percent(correct, len(labels))} % ({correct:,} of {len(labels):,} in batches of 256); "
        f"{percent(alone, len(labels))} % ({alone:,}) one at a time{subset}")


def read_image(path, shape):
    """(N, *shape) uint8 from a PNG or an .npy file.  Raises UserError naming the file and what it should be."""
    wanted = "a PNG of 28 x 28 pixels, or .npy of uint8 (28, 28) or (N, 28, 28)"
    try:
        if path.suffix == ".npy":
            image = np.load(path, allow_pickle=False)
        else:
            import matplotlib.image
            image = matplotlib.image.imread(path, format="png")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give {wanted}") from None
    except Exception as error:   # Pillow and NumPy each raise their own for damaged bytes
        raise UserError(f"{path} cannot be read ({type(error).__name__}); give {wanted}") from None
    if path.suffix != ".npy":
        if image.ndim == 3:
            image = image[..., :3].mean(axis=2) if image.shape[2] > 2 else image[..., 0]   # RGB(A) or grey and alpha
        image = image if image.dtype == np.uint8 else (image * 255).round().astype(np.uint8)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[-2:] != shape[1:] or image.size == 0:
        raise UserError(f"{path} holds {image.dtype} of shape {image.shape}; give {wanted}")
    return image.reshape(-1, *shape)


def predict(run, images, invert=False):
    """`predict`: the class of each image and the runner-up, by the network's output for that image alone."""
    config, model, precision, weights = load_run(run)
    names = read_description(run)["dataset"]["classes"]
    batches = [(path, read_image(path, model.input_shape)) for path in images]
    for path, batch in batches:
        for i, image in enumerate(batch):
            image = 255 - image if invert else image
            order = np.argsort(-precision.scores(model, weights, image[None])[0], kind="stable")
            label = f"{path}[{i}]" if len(batch) > 1 else str(path)
            hint = "" if invert or image.mean() < 128 else "   (a bright picture: is its ink dark? then add --invert)"
            say(f"{label}: {names[order[0]]}   (next: {names[order[1]]}){hint}")


def export(run, format, out=None):
    """`export`: the weights of a run for another program."""
    config, model, precision, weights = load_run(run)
    arrays, numbers = precision.to_arrays(weights)
    out = out or run / {"npz": "weights.npz", "c": "weights.h"}[format]
    content = (exporting.to_npz(arrays, numbers) if format == "npz" else
               exporting.to_c(model, arrays, numbers, f"{config.model} trained by zo_numpy, {run.name}").encode())
    write_atomically(out, content)
    say(f"wrote {out} ({len(content):,} bytes)")
