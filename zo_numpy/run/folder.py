"""A run's folder on disk: what is in it, and how it survives a kill at any moment.

    config.json     the configuration and the data it was trained on; written first, never changed
    data.json       where those data are, see origin.py
    steps.txt       one line a step: step, L+, L-, g, and a digest of the weights every 100 steps and at the last
    metrics.jsonl   one JSON object a line, one line an epoch
    checkpoint.npz  weights, how many steps have been made and how long the logs are then; replaced whole
    curves.png      the picture, made at the end
    .lock           empty; held by the process that trains here

The logs only grow; each is flushed to disk before the checkpoint that counts it. A run that is cut off leaves a
checkpoint and perhaps lines written after it. Resuming cuts the logs back to what the checkpoint counts and goes on.
Every step is a function of (seed, step), so the run ends in the same bytes as one that was never cut off.
"""
import contextlib
import hashlib
import json
import os
import pathlib

from .. import system
from ..errors import UserError, why
from ..files import read_bounded, remove_remains, strict_json, write_atomically
from .checkpoint import CHECKPOINT, CONFIG, LARGEST_CONFIG, STEPS_SEAL, read_npz, write_checkpoint

STEPS, METRICS, CURVES, ORIGIN, LOCK = "steps.txt", "metrics.jsonl", "curves.png", "data.json", ".lock"
RUN_FILES = (CONFIG, ORIGIN, STEPS, METRICS, CHECKPOINT, CURVES)
FORMAT_VERSION = 0   # of config.json and of all that is beside it
LONGEST_LINE = 1 << 16   # bytes; a line of 64 queries has 3,000
NO_RESUME = "the run cannot be resumed: start it again in another --out"
DATASET_FIELDS = {"source": str, "complete": bool, "digest": str, "training_samples": int, "classes": list}


def write_output(out, content):
    """Writes the file that --out names.  Raises UserError, also for a file that a run is made of."""
    if out.name in RUN_FILES and (out.parent / CONFIG).exists():
        raise UserError(f"{out} is a file of the run itself; choose another file")
    try:
        write_atomically(out, content)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another file") from None


class RunFolder:
    """The files of one run, open for writing.  Use as a context manager: it holds the folder's lock.

    A folder it made that is left before `start` is removed again: a refused start leaves nothing behind.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.made, self.lock, self.logs = [], None, {}   # folders made here; the lock's file; {name: open log}
        self.logged = hashlib.sha256()                   # of the lines of steps.txt

    def __enter__(self):
        try:
            self.made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock = open(self.path / LOCK, "w")
        except OSError as error:
            self.__exit__()
            reason = "it is a link to nothing" if self.path.is_symlink() and not self.path.exists() else why(error)
            raise UserError(f"{error.filename or self.path} cannot be written ({reason}); choose another "
                            "--out") from None
        if not self.takes_lock():
            self.lock.close()
            raise UserError(f"another process is training in {self.path}; wait for it or choose another --out")
        return self

    def takes_lock(self):
        """Takes the lock.  False if another process holds it or has just removed it with the folder."""
        held = system.lock(self.lock)
        if held is None:
            system.say_once(f"there are no locks for {self.path}: see to it that no other process trains there")
            return True
        try:
            return held and os.path.samestat(os.fstat(self.lock.fileno()), os.stat(self.path / LOCK))
        except FileNotFoundError:
            return False

    def __exit__(self, *_):
        for log in self.logs.values():
            with contextlib.suppress(OSError):   # a full disk was reported where it happened
                log.close()
        if self.lock and not system.fcntl:       # Windows, which removes no open file
            self.lock.close()
        with contextlib.suppress(OSError):       # of a folder that cannot be written or is not empty
            if self.made and not self.exists():
                (self.path / LOCK).unlink(missing_ok=True)
                for folder in self.made:
                    folder.rmdir()
        if self.lock:
            self.lock.close()

    def exists(self):
        return (self.path / CONFIG).exists()

    def start(self, description):
        """Begins a new run.  description: the JSON object that becomes config.json.

        Raises UserError if it cannot be written, or holds files under a run's names: whatever they are, they stay.
        """
        for name in RUN_FILES:
            if (self.path / name).exists():
                raise UserError(f"{self.path} holds a {name} but no {CONFIG}: it is no run; choose another --out")
        try:
            write_atomically(self.path / CONFIG, (json.dumps(description, indent=2) + "\n").encode())
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error.strerror}); free some space or choose another "
                            "--out") from None

    def open_logs(self, steps, epochs):
        """Cuts the logs back to the steps and epochs of the checkpoint, and opens them for appending.

        Raises UserError, with nothing changed, if the logs have fewer lines or are not those of the checkpoint.
        """
        lengths = {}
        for name, count in ((STEPS, steps), (METRICS, epochs)):
            log = self.logged if name == STEPS else hashlib.sha256()
            lines, lengths[name] = _lines_and_bytes(self.path / name, count, log)
            if lines < count:
                raise UserError(f"{self.path / name} has {lines:,} lines where {CHECKPOINT} counts {count:,}; "
                                f"{NO_RESUME}")
        # Read once more, for the one thing that read_checkpoint leaves out.
        sealed = read_npz(self.path / CHECKPOINT, NO_RESUME).get(STEPS_SEAL) if self.has_checkpoint() else None
        if sealed is not None and sealed.tobytes() != self.logged.digest():
            raise UserError(f"{self.path / STEPS} is not the log that {CHECKPOINT} counts: it has changed; {NO_RESUME}")
        for name in RUN_FILES:
            remove_remains(self.path / name)
        for name, length in lengths.items():
            self.logs[name] = open(self.path / name, "ab")
            self.logs[name].truncate(length)
            self.logs[name].seek(length)

    def append(self, name, line):
        """Adds a line, without its end, to an open log."""
        content = line.encode() + b"\n"
        self.logs[name].write(content)
        if name == STEPS:
            self.logged.update(content)

    def save(self, arrays, numbers):
        """Flushes the logs, then replaces the checkpoint.

        arrays: {name: array}, the weights.  numbers: {name: number}, `step` and what else the trainer needs to go on.
        """
        for log in self.logs.values():
            log.flush()
            system.sync(log)
        write_checkpoint(self.path / CHECKPOINT, arrays, numbers, self.logged.digest())

    def has_checkpoint(self):
        """False if the run was cut off before its first."""
        return (self.path / CHECKPOINT).exists()


def _lines_and_bytes(path, count, log):
    """(lines, their bytes) of the first `count` lines of a file, which may be missing.  log: a sha256 they go into."""
    lines = length = 0
    if path.exists():
        with open(path, "rb") as file:
            while lines < count and (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
                log.update(line)
                lines, length = lines + 1, length + len(line)
    return lines, length


def read_description(path):
    """The JSON object in a run folder's config.json, with a `dataset` as `config.describe` writes it.

    Raises UserError if there is none.
    """
    name = pathlib.Path(path) / CONFIG
    mend = "give a run folder that `train --out` made"
    try:
        description = strict_json(read_bounded(name, LARGEST_CONFIG))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is not a run folder: it has no {CONFIG}; {mend}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{name} cannot be read ({why(error)}); {mend}") from None
    if not isinstance(description, dict) or "format_version" not in description:
        raise UserError(f"{name} is not the configuration of a run; {mend}")
    if description["format_version"] != FORMAT_VERSION:
        raise UserError(f"{name} has format_version {description['format_version']}, this zo_numpy reads "
                        f"{FORMAT_VERSION}; use the zo_numpy that made it, or train again")
    dataset = description.get("dataset")
    if not isinstance(dataset, dict) or [type(dataset.get(key)) for key in DATASET_FIELDS] != \
            list(DATASET_FIELDS.values()) or {type(label) for label in dataset["classes"]} != {str}:
        raise UserError(f"{name} does not say what data the run was trained on; {mend}")
    return description
