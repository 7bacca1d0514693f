"""`runs` and `compare`: tables of runs, and the curves of several in one picture."""
import os
import pathlib

from ..errors import UserError
from ..run.config_json import read_config
from ..run.folder import CONFIG, METRICS, read_description, write_output
from ..run.metrics import kind_of, read_metrics
from .plots import picture_of_several
from .progress import duration, say

HEADINGS = ("run", "data", "network", "precision", "K", "epochs", "accuracy", "state")
DEEPEST = 3   # folders below the one that is listed


def runs(folder=pathlib.Path("runs")):
    """`runs`: a table of the runs below a folder; what cannot be read is said after it."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name the one that holds your runs, or train one: python -m zo_numpy "
                        "train")
    rows, damaged = [], []
    for path in _run_folders(folder):
        try:
            rows.append(_row(path))
        except UserError as error:
            damaged.append(str(error))
    if not rows and not damaged:
        raise UserError(f"{folder} holds no run; train one: python -m zo_numpy train")
    for line in [*_table([HEADINGS, *rows] if rows else []), *(f"unreadable: {error}" for error in damaged)]:
        say(line)


def _run_folders(folder):
    """The folders at and below `folder` that hold a config.json, by name."""
    found = []
    for here, inside, files in os.walk(folder):
        inside[:] = [] if CONFIG in files or len(pathlib.Path(here).relative_to(folder).parts) >= DEEPEST else \
            sorted(name for name in inside if not name.startswith("."))
        found += [pathlib.Path(here)] * (CONFIG in files)
    return sorted(found)


def _row(path):
    """What the table says of a run, texts.  Raises UserError."""
    config, complete = read_config(path), read_description(path)["dataset"]["complete"]
    metrics = read_metrics(path) if (path / METRICS).exists() and (path / METRICS).stat().st_size else []
    accuracy = "-"
    if metrics:
        kind = kind_of(metrics[-1])
        accuracy = f"{metrics[-1][kind + '_accuracy']:.2f} %" + " (validation)" * (kind == "validation")
    marks = [word for word, holds in (("frozen", config.zo_frozen), ("fine-tuned", config.init_from)) if holds]
    state = "finished" if len(metrics) >= config.epochs else "not finished"
    return (str(path), config.data + " (a part)" * (not complete), config.model, config.precision,
            ", ".join([str(config.bp_tail), *marks]), f"{len(metrics):,} of {config.epochs:,}", accuracy, state)


def _table(rows):
    """Rows of texts as lines, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]


def compare(run, out):
    """`compare`: a table of some runs, and their curves in one picture.  run: folders.  out: the picture's file."""
    rows, curves, digests = [], {}, set()
    for path in run:
        row, metrics = _row(path), read_metrics(path)
        rows.append((*row, duration(sum(line["seconds"] for line in metrics))))
        curves[str(path)] = metrics
        digests.add(read_description(path)["dataset"]["digest"])
    for line in _table([(*HEADINGS, "training"), *rows]):
        say(line)
    if len(digests) > 1:
        say("note: they were not trained on the same data")
    write_output(out, picture_of_several(curves))
    say(f"wrote {out}")
