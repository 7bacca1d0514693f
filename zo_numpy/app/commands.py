"""What each command of the command line does.  One function a command; returns the exit status, None for 0."""
import dataclasses
import pathlib
import sys
import time
import warnings
from json import dumps as to_json

import numpy as np

# Modules that share their name with a command have another one here.
from .. import models
from ..errors import Diverged, UserError
from ..files import write_atomically
from ..golden import runs
from ..measure import bench as benchmark, memory as memories, peak
from ..run.checkpoint import digest
from ..run.config import BP, NUMBERS, check_number, describe, make_config, read_config, with_classes
from ..run.folder import CHECKPOINT, CONFIG, CURVES, RUN_FILES, RunFolder, read_description
from ..run.steps import PRECISIONS, split
from ..run.trainer import Interrupted, Run, count_correct, first_weights, load_weights, percent
from ..system import largest_resident
from ..tiles import threads
from . import export as exporting, flat_data, vectors as golden_commands
from .beside import IS_CLONE
from .data import load_data
from .inputs import read_clouds, read_image
from .methods import method_of
from .plots import draw_curves
from .progress import Progress, say
from .program import write_program
from .report import last_good, last_line, resume_command, run_name, subset_note, summary
from .signals import stop_signals
from .tour import Tour


def flat(config):
    """A Config as the options that make it."""
    options = {**dataclasses.asdict(config), **config.schedules}
    del options["schedules"]
    return options


def check_same(config, given, dataset, path):
    """Refuses to resume the run in the folder `path` with options (`given`, which `config` has) or data unlike its own,
    naming the first difference."""
    stored = read_config(path)
    for name in given:
        asked, had = ((config.schedules[name], stored.schedules[name]) if name in stored.schedules
                      else (getattr(config, name), getattr(stored, name)))
        if asked != had:
            raise UserError(f"{path} was trained with {name} = {had}, not {asked}: leave the option out to resume, or "
                            "choose another --out")
    trained_on = read_description(path)["dataset"]
    if trained_on["digest"] != dataset.digest:
        raise UserError(f"{path} was trained on other data ({trained_on['source']}); now there is "
                        f"{dataset.source}: choose another --out, or delete {path} to train it anew")


def train(data_dir=None, offline=False, out=None, resume=False, **given):
    """`train`: the given options, the rest from the run being resumed, or else from the tuned defaults.

    All that can be refused is refused before the folder holds a file.
    """
    config = make_config(given)
    threads()
    if out is None:   # a folder the user did not name must hold just this run
        out = pathlib.Path("runs") / run_name(config)
        given = flat(config)
    elif resume and (out / CONFIG).exists():
        config = make_config({**flat(read_config(out)), **given})
    method = method_of(config)
    with RunFolder(out) as folder:
        if folder.exists() and not resume:
            raise UserError(f"{out} holds a run already; add --resume to go on with it or choose another --out")
        dataset = load_data(config, data_dir, offline)
        config = with_classes(config, dataset)
        split(config, dataset)
        if folder.exists():
            check_same(config, given, dataset, out)
        summary(config, dataset, models.of_run(config))
        if not folder.exists():
            first_weights(config)   # an --init-from that cannot be used is refused here
            folder.start(describe(config, dataset))
        again = resume_command(out, data_dir, offline)
        try:
            with stop_signals() as stop, warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)   # of overflow: what is not finite ends the run
                run = Run(config, method, dataset, folder, None, lambda: bool(stop))
                run.progress = Progress(sys.stdout, run.step, run.total_steps, config.batch_size)
                say(f"{config.epochs} epoch{'s' * (config.epochs > 1)} of {run.steps_per_epoch:,} steps, batch "
                    f"{config.batch_size}, seed {config.seed}, in {out}"
                    + (f", resumed at step {run.step:,}" if run.step else ""))
                run.train()
                # Still in here: a Ctrl-C in the imports of the picture could end in any error of theirs.
                title = f"{out.resolve().name}: {config.precision}, K = {config.bp_tail}, {dataset.name}"
                lacking = draw_curves(out, title + ("" if dataset.complete else " (not the full data set)"))
        except Interrupted:
            run.progress.clear()
            print(f"interrupted: step {run.step:,} of {run.total_steps:,} is saved; go on with: {again}",
                  file=sys.stderr)
            return 128 + stop[0]   # as a shell reports a program that a signal ended
        except Diverged as error:
            run.progress.clear()
            raise UserError(f"{error}, in another --out; {last_good(out)}") from None
        except BrokenPipeError:    # who reads the output has left; main() sees to it
            raise
        except OSError as error:
            raise UserError(f"{error.filename or out} cannot be written ({error.strerror or error}); free some space, "
                            f"then go on with: {again}") from None
        say(last_line(run, dataset, out))
        if lacking:
            print(f"note: the run is whole, but {out / CURVES} could not be drawn ({lacking}); mend that, then draw it "
                  f"with: {again}", file=sys.stderr)
    return 0


def load_run(path):
    """(config, model, precision module, weights) of a run folder."""
    config = read_config(path)
    if not (path / CHECKPOINT).exists():
        raise UserError(f"{path} has no checkpoint yet; finish it with: python -m zo_numpy train --resume --out {path}")
    weights, _ = load_weights(config, path)
    return config, models.of_run(config), PRECISIONS[config.precision], weights


def evaluate(run, data=None, rotate=None, data_dir=None, offline=False):
    """`evaluate`: test accuracy of a run as it stands, in batches and one sample at a time."""
    config, model, precision, weights = load_run(run)
    if rotate is not None:
        check_number("rotate", rotate, NUMBERS["rotate"])
    config = dataclasses.replace(config, data=data or config.data, rotate=config.rotate if rotate is None else rotate)
    dataset = load_data(config, data_dir, offline)
    images, labels = dataset.test_images, dataset.test_labels
    if images.shape[1:] != model.input_shape or len(dataset.classes) != model.classes:
        raise UserError(f"{run} takes samples of {model.input_shape} in {model.classes} classes, {dataset.name} has "
                        f"{images.shape[1:]} in {len(dataset.classes)}: choose another --data")
    images = precision.decode_clouds(images) if config.points else images
    correct = count_correct(precision, model, weights, images, labels)
    alone = count_correct(precision, model, weights, images, labels, batch=1)
    say(f"test accuracy {percent(correct, len(labels))} % ({correct:,} of {len(labels):,} in batches of 256); "
        f"{percent(alone, len(labels))} % ({alone:,}) one at a time{subset_note(dataset)}")


def predict(run, images, invert=False):
    """`predict`: the class of each image and the runner-up, by the network's output for that image alone."""
    config, model, precision, weights = load_run(run)
    names = read_description(run)["dataset"]["classes"]
    if len(names) != model.classes:
        raise UserError(f"{run / CONFIG} names {len(names)} classes where the network has {model.classes}; give another"
                        " run folder")
    clouds = models.takes_points(model)
    if clouds and invert:
        raise UserError(f"--invert has no meaning for point clouds, which {run} takes: leave it out")
    batches = [(path, precision.decode_clouds(read_clouds(path, config.points)) if clouds else
                read_image(path, model.input_shape)) for path in images]
    for path, batch in batches:
        for i, image in enumerate(batch):
            image = 255 - image if invert else image
            order = np.argsort(-precision.scores(model, weights, image[None])[0], kind="stable")
            label = f"{path}[{i}]" if len(batch) > 1 else str(path)
            hint = "   (a bright picture: is its ink dark? then add --invert)"
            hint = "" if clouds or invert or image.mean() < 128 else hint
            say(f"{label}: {names[order[0]]}   (next: {names[order[1]]}){hint}")


def export(run, format, out=None):
    """`export`: the weights of a run for another program, or with --format c and a folder a program of its own."""
    config, model, precision, weights = load_run(run)
    arrays, numbers = precision.to_arrays(weights)
    origin = f"{config.model} trained by zo_numpy, {run.resolve().name}"
    program = format == "c" and out is not None and out.suffix != ".h"
    out = out or run / {"npz": "weights.npz", "flat": "weights.flat", "c": "weights.h"}[format]
    if out.resolve().parent == run.resolve() and out.name in RUN_FILES:
        raise UserError(f"{out} is a file of the run itself; choose another --out")
    if format == "c" and config.precision != "int8":
        raise UserError(f"{run} is of {config.precision}, and a C header holds INT8 weights; use --format npz, or "
                        "fine-tune it in INT8 with --init-from")
    content = {"npz": lambda: exporting.to_npz(arrays, numbers),
               "flat": lambda: flat_data.flat_weights(arrays, numbers),
               "c": lambda: exporting.to_c(model, arrays, numbers, origin).encode()}[format]
    try:
        if program and IS_CLONE:
            size = write_program(out, config, method_of(config), weights, origin)
            say(f"wrote {out} ({size:,} bytes); build and test it there: make test")
            return
        if program:
            out.mkdir(exist_ok=True)
            out = out / "weights.h"
            say("only the header of the weights: a program needs a clone of the project")
        write_atomically(out, content())
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another --out") from None
    say(f"wrote {out} ({out.stat().st_size:,} bytes)")


def replay(run, out=None):
    """`replay`: the weights of a vanilla-ZO run from its log of signs, without data."""
    config = read_config(run)
    started = time.monotonic()
    weights, made, total = runs.replay(run, config, read_description(run)["dataset"]["training_samples"])
    seconds = max(time.monotonic() - started, 1e-9)
    arrays, numbers = PRECISIONS[config.precision].to_arrays(weights)
    if out:
        write_atomically(out, exporting.to_npz(arrays, numbers))
    say(f"replayed {made:,} of {total:,} steps ({made / seconds:,.0f} a second), weights sha256 {digest(arrays)}"
        + (f", written to {out}" if out else ""))


def memory(measure=False, **given):
    """`memory`: bytes of a training step by kind of tensor, at its peak and each kind at its own."""
    model = models.MODELS.get(given.get("model"))
    if model and models.takes_points(model):
        given.setdefault("data", "modelnet40")   # any data set of clouds will do
    config = make_config(given)
    measured = resident = None
    if measure or config.bp_tail == BP:   # which is measured alone
        measured, resident = peak.measure(config, method_of(config), 12 if threads() == 1 else 50), largest_resident()
    for line in memories.report(config, measured, resident):
        say(line)


def bench(batch_size, rounds, json):
    """`bench`: time of a training step, its parts, and ratios."""
    for size in batch_size:
        make_config({"batch_size": size})
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: choose a whole number from 1 up")
    threads()
    tails = benchmark.TAILS
    try:
        method_of(make_config({"bp_tail": BP}))
    except UserError as error:   # without a clone
        print(f"left out: {error}", file=sys.stderr)
        tails = tuple(k for k in tails if k != BP)
    images = benchmark.images(batch_size, rounds, method_of, tails)
    clouds = benchmark.clouds(max(1, rounds // 5), method_of, tails)
    both = {**images, **clouds, "ratios": images["ratios"] | clouds["ratios"]}
    for line in [to_json(both)] if json else [*benchmark.report_images(images), "", *benchmark.report_clouds(clouds)]:
        say(line)


def tour():
    """`tour`: one training step of a tiny network, value by value."""
    Tour(say).walk()


def golden(action, **options):
    """`golden check | update | export | diff`."""
    return golden_commands.ACTIONS[action](**options)
