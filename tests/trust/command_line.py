"""Random command lines: every command, its options in any number, sensible values and others."""
import dataclasses
import json
import shutil

from zo_numpy.app import commands
from zo_numpy.golden import check, trace
from zo_numpy.measure import bench, in_words
from zo_numpy.run import trainer
from zo_numpy.run.config import NUMBERS, SCHEDULES, option

VALUES = ("0", "1", "2", "-1", "3.5", "1e9", "nan", "inf", "", " ", "x", "all", "int8", "fp32", "007", "1_0", "٣",
          "9" * 400, "99999999999999999999", "1,2", "1,,2", ",", "128,192,224", "--", "-", "\0", "é\udce9", "a\nb", "/",
          "/dev/null", "..", "mnist", "modelnet", "pointnet", "narrow-lenet", "both", "coarse", "float", "true")
FLAGS = ("--offline", "--zo-frozen", "--resume", "--invert", "--compact", "--measure", "--json", "--help-me", "--off")
COMMANDS = (("train",), ("train",), ("train",), ("evaluate",), ("predict",), ("export",), ("replay",),
            ("golden", "diff"), ("golden", "export"), ("golden", "check"), ("memory",), ("bench",), ("trian",), ())
NAMES = [option(name) for name in (*NUMBERS, *SCHEDULES["int8"], *SCHEDULES["fp32"])] + [
    "--model", "--data", "--precision", "--bp-tail", "--loss", "--tail-passes", "--tail-scale", "--headroom",
    "--init-from", "--format", "--out", "--steps", "--rounds"]
TYPICAL = {"--epochs": "2", "--batch-size": "16", "--seed": "5", "--validate": "10", "--limit": "20", "--rotate": "45",
           "--queries": "2", "--r-max": "7,3", "--p-zero": "128", "--b-zo": "1", "--b-bp": "3", "--eps": "0.01",
           "--eta": "0.001", "--clip": "5", "--eta-tail": "0.1", "--model": "narrow-lenet", "--precision": "fp32",
           "--bp-tail": "1", "--loss": "coarse", "--tail-passes": "both", "--tail-scale": "running",
           "--steps": "1"}


def interrupted(run):
    raise KeyboardInterrupt


def stop_long_work():
    """What a valid command would spend its time on is left out: only whether it starts, and with what, counts."""
    trainer.Run.train = interrupted
    bench.images = bench.clouds = lambda *_: {"ratios": {}}
    in_words.report = lambda *_: []
    check.check = lambda *_: 0
    trace.export_trace = lambda *_: 0
    commands.memories.report = lambda *_: []


def line(draw, place):
    """The words of a command line.  place: the folder that holds `images`, `run` and `zero`, see formats.py."""
    words = list(draw.choice(COMMANDS))
    train = words[:1] == ["train"]
    folders = [str(place / name) for name in ("images", "run", "zero", "trace", "image.npy", "image.png", "cloud.npy",
                                              "nowhere")]
    if not train:
        words += [draw.choice(folders) for _ in range(draw.randint(0, 3))]
    for _ in range(draw.choice((0, 1, 1, 2, 3, 5))):
        name = draw.choice(NAMES)
        words += [name, draw.choice((*[TYPICAL.get(name, "1")] * 3, draw.choice(VALUES), *folders[:2]))]
    words += draw.sample(FLAGS, draw.choice((0, 0, 1, 2)))
    if draw.random() < 0.1:
        draw.shuffle(words)
    if train:
        words += ["--model", "narrow-lenet"] if draw.random() < 0.8 else []
        words += ["--data-dir", str(place / "images"), "--offline", "--out", str(place / "made")]
    return words


def wrong_config(words, place):
    """The first option of a started run that its config.json does not have as it was given, or None."""
    folder = place / "made"
    if not (folder / "config.json").exists() or words[0] != "train":
        return None
    config = json.loads((folder / "config.json").read_text())
    fields = {field.name for field in dataclasses.fields(commands.make_config({}))}
    given = {words[i][2:].replace("-", "_"): words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    for name, text in given.items():
        found = config["schedules"].get(name, config.get(name) if name in fields else None)
        if found is None or name in ("bp_tail", "zo_frozen"):
            continue
        numbers = found if isinstance(found, list) else [found]
        if isinstance(numbers[0], str):
            same = found == text
        else:
            same = [float(part) for part in text.split(",")] == [float(n) for n in numbers] or name == "points" or (
                found and text in ("0", ""))   # 0: as the defaults say
        if not same:
            return name
    return None


def clean(place):
    """Removes what a command may have made."""
    shutil.rmtree(place / "made", ignore_errors=True)
