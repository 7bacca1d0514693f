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
from ..errors import Diverged, UserError, written
from ..golden import runs as golden_runs
from ..measure import bench as benchmark, in_words, memory as memories, peak
from ..run.checkpoint import digest
from ..run.config import BP, flat, is_own, make_config, option
from ..run.config_json import describe, read_config
from ..run.effects import without_effect
from ..run.fitting import fitted
from ..run.folder import CONFIG, CURVES, RunFolder, read_description, write_output
from ..run.origin import read_origin, write_origin
from ..run.network import described, first_difference, own_model, takes_points
from ..run.steps import PRECISIONS, split
from ..run.trainer import Interrupted, Run, first_weights
from ..system import largest_resident, say_once
from ..tiles import threads
from . import export as exporting, flat_data, vectors as golden_commands
from .beside import IS_CLONE
from .data import Place, load_with_origin, other_data, own_file, recorded
from .evaluation import evaluate  # noqa: F401 (a command)
from .methods import method_of
from .plots import draw_curves
from .progress import Progress, say
from .program import write_program
from .overview import compare, runs  # noqa: F401 (commands)
from .predicting import predict  # noqa: F401 (a command)
from .report import folder_name, last_good, last_line, load_run, resume_command, summary
from .signals import stop_signals
from .tour import Tour


def check_same(config, given, dataset, origin, path):
    """Refuses to resume the run in the folder `path` with options (`given`, which `config` has) or data unlike its own,
    naming the first difference."""
    stored = read_config(path)
    for name in given:
        asked, had = ((config.schedules[name], stored.schedules[name]) if name in stored.schedules
                      else (getattr(config, name), getattr(stored, name)))
        if asked != had:
            how = (f"with{'' if had else 'out'} {option(name)}" if isinstance(had, bool) else
                   f"with {option(name)} {written(had)}, not {written(asked)}")
            raise UserError(f"{path} was trained {how}: leave the option out to resume, or choose another --out")
    if read_description(path)["dataset"]["digest"] != dataset.digest:
        raise UserError(other_data(path, read_origin(path, models.of_run(stored).input_shape), origin, dataset))


def resumed(out, given, place):
    """(Config, options given, Place) of the run in `out`: what is not given is as it was.  Raises UserError."""
    stored = read_config(out)
    if is_own(given.get("data")) and is_own(stored.data):   # a file may have another name now: its digest decides
        given = {**given, "data": stored.data}
    if stored.layers or given.get("layers"):                # and of a network its layers
        given = _resumed_network(out, stored, given)
    if given.get("data", stored.data) != stored.data:
        raise UserError(f"{out} was trained with --data {stored.data}, not {given['data']}: leave the option out to "
                        "resume, or choose another --out")
    if not (place.file or place.data_dir or "data" in given):
        place = recorded(out, stored, place.offline)
    return make_config({**flat(stored), **given}), given, place


def _resumed_network(out, stored, given):
    """The options with the network of the run in `out`.  Raises UserError if they name another one."""
    if "model" not in given:
        return given
    asked = dataclasses.replace(stored, model=given["model"], layers=given["layers"])
    if asked.layers or asked.model in models.MODELS:
        difference = first_difference(models.of_run(asked).layers, models.of_run(stored).layers)
        if difference:
            raise UserError(f"{out} was trained on another network than that of --model {asked.model} ({difference}): "
                            "leave the option out to resume, or choose another --out")
        return {**given, "model": stored.model, "layers": stored.layers}
    return given


def train(data_dir=None, offline=False, out=None, resume=False, **given):
    """`train`: the given options, the rest from the run being resumed, or else from the tuned defaults.

    Everything that can be refused is refused before a file is written.
    """
    given, file = own_file(own_model(given))
    config, place, loaded = make_config(given), Place(file, data_dir, offline), None
    asked = given
    threads()
    if out is None:   # a folder the user did not name must hold just this run
        loaded = load_with_origin(config, place) if file or data_dir else None
        out = pathlib.Path("runs") / folder_name(config, *loaded or (None, None))
        given = flat(config)
    elif resume and (out / CONFIG).exists():
        config, given, place = resumed(out, given, place)
    method = method_of(config)
    with RunFolder(out) as folder:
        if folder.exists() and not resume:
            raise UserError(f"{out} holds a run already; add --resume to go on with it or choose another --out")
        dataset, origin = loaded or load_with_origin(config, place)
        config = fitted(config, dataset)
        split(config, dataset)
        if folder.exists():
            check_same(config, given, dataset, origin, out)
        summary(config, dataset, models.of_run(config))
        if not folder.exists():
            for text in without_effect(asked, config):
                say_once(text)
            first_weights(config, say)   # an --init-from that cannot be used is refused here
            folder.start(describe(config, dataset))
        write_origin(out, origin)
        again = resume_command(out, offline)
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
            raise UserError(f"{error}, and train in another --out; {last_good(out)}") from None
        except BrokenPipeError:    # the reader of the output has left; main() handles it
            raise
        except OSError as error:
            raise UserError(f"{error.filename or out} cannot be written ({error.strerror or error}); free some space, "
                            f"then go on with: {again}") from None
        say(last_line(run, dataset, out))
        if lacking:
            print(f"note: the run is complete, but {out / CURVES} could not be drawn ({lacking}); fix that, then "
                  f"draw it with: {again}", file=sys.stderr)
    return 0


def export(run, format, out=None):
    """`export`: the weights of a run for another program, or with --format c and a folder a program of its own."""
    config, model, precision, weights = load_run(run)
    arrays, numbers = precision.to_arrays(weights)
    origin = f"{config.model} trained by zo_numpy, {run.resolve().name}"
    program = format == "c" and out is not None and out.suffix != ".h"
    out = out or run / {"npz": "weights.npz", "flat": "weights.flat", "c": "weights.h"}[format]
    if format == "c" and config.precision != "int8":
        raise UserError(f"{run} has {config.precision} weights, but a C header holds INT8; use --format npz, or "
                        "fine-tune it in INT8 with --init-from")
    content = {"npz": lambda: exporting.to_npz(arrays, numbers),
               "flat": lambda: flat_data.flat_weights(arrays, numbers),
               "c": lambda: exporting.to_c(model, arrays, numbers, origin,
                                               exporting.header_name(run, out)).encode()}[format]
    try:
        if program and IS_CLONE:
            size = write_program(out, config, method_of(config), weights, origin)
            say(f"wrote {out} ({size:,} bytes); build and test it there: make test")
            return
        if program:
            out.mkdir(exist_ok=True)
            out = out / "weights.h"
            say("only the header of the weights: a program needs a clone of the project")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another --out") from None
    write_output(out, content())
    say(f"wrote {out} ({out.stat().st_size:,} bytes)")


def replay(run, out=None):
    """`replay`: the weights of a vanilla-ZO run from its log of signs, without data."""
    config = read_config(run)
    started = time.monotonic()
    weights, made, total = golden_runs.replay(run, config, read_description(run)["dataset"]["training_samples"])
    seconds = max(time.monotonic() - started, 1e-9)
    arrays, numbers = PRECISIONS[config.precision].to_arrays(weights)
    if out:
        write_output(out, exporting.to_npz(arrays, numbers))
    say(f"replayed {made:,} of {total:,} steps ({made / seconds:,.0f} a second), weights sha256 {digest(arrays)}"
        + (f", written to {out}" if out else ""))


def memory(measure=False, **given):
    """`memory`: bytes of a training step by kind of tensor, at its peak and each kind at its own."""
    given, file = own_file(own_model(given))
    if takes_points(given):
        given.setdefault("data", "modelnet40")   # any data set of clouds will do
    config = make_config(given)
    if file:
        config = fitted(config, load_with_origin(config, Place(file))[0])
    measured = resident = None
    if measure or config.bp_tail == BP:   # full BP can only be measured
        measured, resident = peak.measure(config, method_of(config), 12 if threads() == 1 else 50), largest_resident()
    for line in memories.report(config, measured, resident):
        say(line)


def model(name):
    """`model`: a network as JSON, to begin one's own with."""
    if name not in models.MODELS:
        raise UserError(f"model {name}: choose one of {', '.join(models.MODELS)}")
    say("[\n " + ",\n ".join(map(to_json, described(models.MODELS[name].layers))) + "\n]")


def bench(batch_size, rounds, json, **given):
    """`bench`: time of a training step, its parts, and ratios; of LeNet-5 and PointNet, or of one model alone."""
    given = own_model(given)
    if takes_points(given):
        given["data"] = "modelnet40"
    for size in batch_size:
        make_config({**given, "bp_tail": 0, "batch_size": size})
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: choose a whole number from 1 up")
    threads()
    tails = benchmark.TAILS
    try:
        method_of(make_config({"bp_tail": BP}))
    except UserError as error:   # without a clone
        print(f"left out: {error}", file=sys.stderr)
        tails = tuple(k for k in tails if k != BP)
    if given:
        alone = benchmark.network(batch_size, rounds, method_of, given, BP in tails)
        for line in [to_json(alone)] if json else benchmark.report_network(alone):
            say(line)
        return
    images = benchmark.images(batch_size, rounds, method_of, tails)
    clouds = benchmark.clouds(max(1, rounds // 5), method_of, tails)
    both = {**images, **clouds, "ratios": images["ratios"] | clouds["ratios"]}
    for line in [to_json(both)] if json else in_words.report(both):
        say(line)


def tour():
    """`tour`: one training step of a tiny network, value by value."""
    Tour(say).walk()


def golden(action, **options):
    """`golden check | update | export | diff`."""
    return golden_commands.ACTIONS[action](**options)
