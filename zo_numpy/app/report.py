"""What a run says of itself: its name, its first lines and its last, and how to go on with it."""
import hashlib
import json
import pathlib
import re
import shlex
import sys

from .. import models
from ..errors import UserError
from ..run.config import OWN, is_own
from ..run.config_json import read_config
from ..run.folder import CHECKPOINT, CONFIG, read_description
from ..run.metrics import read_metrics
from ..run.network import OWN as OWN_MODEL, described
from ..run.steps import PRECISIONS, compares_loss
from ..run.trainer import count_correct, load_weights, percent
from .progress import duration, say


def folder_name(config, dataset, origin):
    """The name of a run's folder below runs/, where the user gives none: of other data it is another.

    dataset, origin: its data where they are a user's own file or folder, else None. A file's name alone says too
    little; a folder's digest stands in the name where another folder has taken it. MNIST and its subset, which stands
    in for it without a network, share a name: --resume tells them apart.
    """
    name = _run_name(config)
    if is_own(config.data):
        plain = re.sub(r"[^\w.-]+", "_", config.data[:-len(OWN)]).strip(".-_")[:60] or "data"
        return f"{plain}-{origin.digest[:8]}-{name.removeprefix(config.data + '-')}"
    taken = pathlib.Path("runs") / name
    if origin and (taken / CONFIG).exists() and read_description(taken)["dataset"]["digest"] != dataset.digest:
        return f"{name}-{dataset.digest[:8]}"
    return name


def _run_name(config):
    """mnist-int8-k2-e20-s0 and the like: a folder's name from what mostly distinguishes runs."""
    marks = ("-frozen" if config.zo_frozen else "") + ("-running" if config.tail_scale == "running" else "") + (
        f"-rotated{config.rotate}" if config.rotate else "") + ("-tuned" if config.init_from else "")
    changes = {name: getattr(config, name) for name in ("augment", "tilt", "jitter")}
    marks += "".join(f"-{name}{value}" for name, value in changes.items() if value)
    size = f"-p{config.points}" if config.points else ""
    if config.layers:   # networks of one name may differ
        plain = re.sub(r"[^\w-]+", "_", config.model[:-len(OWN_MODEL)]).strip("-_")[:40] or "model"
        size += f"-{plain}-{hashlib.sha256(json.dumps(described(config.layers)).encode()).hexdigest()[:8]}"
    return f"{config.data}{size}-{config.precision}-k{config.bp_tail}{marks}-e{config.epochs}-s{config.seed}"


def summary(config, dataset, model):
    """The first lines of a run."""
    head, tail = models.split_tail(model.layers, config.bp_tail)
    zo, bp = ([layer.name for layer in models.weight_layers(part)] for part in (head, tail))
    count = {block[0].name: sum(map(PRECISIONS[config.precision].parameter_count, block))
             for block in models.blocks(model.layers)}
    by_zo = "frozen at their initialisation (the control)" if config.zo_frozen else "by ZO"
    say(f"{model.name}, {config.precision}, {sum(count.values()):,} parameters: "
        f"{' '.join(zo) or 'none'} {by_zo} ({sum(count[n] for n in zo):,}), "
        f"{' '.join(bp) or 'none'} by BP ({sum(count[n] for n in bp):,})")
    if compares_loss(config):
        say("A COMPARISON, NOT INTEGERS ONLY: float64 cross-entropy of the integer logits decides the sign of g")
    if not dataset.complete:
        say(f"NOT THE FULL DATA SET, {dataset.name}: {len(dataset.train_labels):,} training and "
            f"{len(dataset.test_labels):,} test samples ({dataset.source})")


def last_line(run, dataset, out):
    """Accuracy, time, digest and folder of a finished run."""
    metrics = read_metrics(out)
    correct = metrics[-1][run.report_name + "_correct"]
    images, labels = run.report
    alone = count_correct(run.precision, run.model, run.weights, images, labels, batch=1)
    seconds = sum(line["seconds"] for line in metrics)
    return (f"{run.report_name} accuracy {percent(correct, len(labels))} % after the last epoch ({correct:,} of "
            f"{len(labels):,}; {percent(alone, len(labels))} % one at a time), {duration(seconds)} of training, "
            f"weights sha256 {run.digest()}, {out}{subset_note(dataset)}")


def subset_note(dataset):
    """What the last line of a result says of a data set that is not the full one."""
    return "" if dataset.complete else f" - NOT THE FULL DATA SET: {dataset.source}"


def last_good(out):
    """What a run that has diverged leaves: its last checkpoint, all of it finite."""
    if not (out / CHECKPOINT).exists():
        return "it had no checkpoint yet"
    step = load_weights(read_config(out), out)[1]["step"]
    return (f"{out / CHECKPOINT} keeps the last good weights, those after {step:,} steps (--init-from {out} starts "
            "from them)")


def load_run(path):
    """(config, model, precision module, weights) of a run folder."""
    config = read_config(path)
    if not (path / CHECKPOINT).exists():
        raise UserError(f"{path} has no checkpoint yet; finish it with: python -m zo_numpy train --resume --out {path}")
    weights, _ = load_weights(config, path)
    return config, models.of_run(config), PRECISIONS[config.precision], weights


def resume_command(out, offline):
    """What a user types to go on with a run, whose folder says where its data are."""
    interpreter, here = pathlib.Path(sys.executable), pathlib.Path.cwd()
    interpreter = interpreter.relative_to(here) if interpreter.is_relative_to(here) else interpreter
    return shlex.join([str(interpreter), "-m", "zo_numpy", "train", "--resume", "--out", str(out),
                       *["--offline"] * offline])
