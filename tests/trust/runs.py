"""What a run's folder may hold after a fault: nothing half-written; and at the end: the bytes of an undisturbed run."""
import json

from zo_numpy.app.inputs import png_chunks
from zo_numpy.errors import UserError
from zo_numpy.run.checkpoint import read_checkpoint
from zo_numpy.run.folder import CHECKPOINT, CONFIG, CURVES, LOCK, METRICS, RUN_FILES, STEPS

TIMINGS = {"seconds", "images_per_second"}


def metrics(folder):
    """The lines of metrics.jsonl without what a clock decides; a last line without its end is left out."""
    *lines, _ = (folder / METRICS).read_text().split("\n")
    return [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]


def differences(mine, undisturbed):
    """In what a finished run's folder is not, clocks excepted, an undisturbed one's: sentences, none if it is."""
    found = []
    for name in (STEPS, CHECKPOINT, CONFIG):
        if not (mine / name).exists() or (mine / name).read_bytes() != (undisturbed / name).read_bytes():
            found.append(f"{name} is not that of the undisturbed run")
    if not (mine / METRICS).exists() or metrics(mine) != metrics(undisturbed):
        found.append(f"{METRICS} is not that of the undisturbed run")
    names = {path.name for path in mine.iterdir()}
    if names != {LOCK, *RUN_FILES}:
        found.append(f"the folder holds {sorted(names)}")
    return found


def half_written(mine, undisturbed):
    """What is half-written in the folder of a run that was cut off, as sentences.

    A log may end anywhere after what the checkpoint counts: it is cut back when the run goes on. Hidden .part files
    are no files of the run.
    """
    found = [f"there is {path.name}" for path in mine.iterdir()
             if path.name not in (LOCK, *RUN_FILES) and not is_part(path)]
    if (mine / CONFIG).exists() and (mine / CONFIG).read_bytes() != (undisturbed / CONFIG).read_bytes():
        found.append(f"{CONFIG} is half-written")
    step = 0
    if (mine / CHECKPOINT).exists():
        try:
            step = read_checkpoint(mine / CHECKPOINT)[1]["step"]
        except UserError as error:
            found.append(str(error))
    log = (mine / STEPS).read_bytes() if (mine / STEPS).exists() else b""
    if not (undisturbed / STEPS).read_bytes().startswith(log):
        found.append(f"{STEPS} has other lines than the undisturbed run's")
    if log.count(b"\n") < step:
        found.append(f"{STEPS} has fewer lines than {CHECKPOINT} counts")
    if (mine / METRICS).exists():
        made, whole = metrics(mine), metrics(undisturbed)
        if made != whole[:len(made)]:
            found.append(f"{METRICS} has other lines than the undisturbed run's")
    if (mine / CURVES).exists() and not is_whole_png((mine / CURVES).read_bytes()):
        found.append(f"{CURVES} is half-written")
    return found


def is_part(path):
    """Whether that is a hidden name under which something was being written."""
    return path.name.startswith(".") and path.name.endswith(".part")


def is_whole_png(content):
    """Whether all chunks of a PNG are there, the last one included, and sound."""
    try:
        return bool(list(png_chunks(content)))
    except ValueError:
        return False
