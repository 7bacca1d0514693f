"""A run's folder on disk: what is in it, and how it survives a kill at any moment.

    config.json     the configuration and the data it was trained on; written first, never changed
    steps.txt       one line a step: step, L+, L-, g, and a digest of the weights every 100 steps and at the last
    metrics.jsonl   one JSON object a line, one line an epoch
    checkpoint.npz  weights, and how far the three are; replaced whole
    curves.png      the picture, made at the end
    .lock           empty; held by the process that trains here

The logs only grow; each is flushed to disk before the checkpoint that counts it. A run that is cut off leaves a
checkpoint and perhaps lines behind it: resuming cuts the logs back to what the checkpoint counts and goes on, and as
every step is a function of (seed, step), it ends in the bytes of a run that was never cut.

A checkpoint seals what it counts. `seal` is a sha256 of all else in it and of config.json; of what config.json says of
the data only training_samples and classes, as the data themselves are compared with their digest when a run resumes.
`steps_sha256` is of the lines of steps.txt that the checkpoint counts. A folder in which any of them has changed is
refused. Checkpoints that have neither, as other programs and earlier versions write them, are read as they are.
"""
import contextlib
import hashlib
import io
import json
import os
import pathlib

import numpy as np

from .. import npy, system
from ..errors import UserError
from ..files import read_bounded, remove_remains, strict_json, write_atomically

CONFIG, STEPS, METRICS, CHECKPOINT, CURVES = "config.json", "steps.txt", "metrics.jsonl", "checkpoint.npz", "curves.png"
LOCK = ".lock"
RUN_FILES = (CONFIG, STEPS, METRICS, CHECKPOINT, CURVES)
FORMAT_VERSION = 0   # of config.json and of all that is beside it
SEAL, STEPS_SEAL = "seal", "steps_sha256"   # in a checkpoint
SEALED = ("training_samples", "classes")     # of what config.json says of the data
LARGEST_CONFIG, LONGEST_LINE = 1 << 22, 1 << 16   # bytes; a line of 64 queries has 3,000
NO_RESUME = "the run cannot be resumed: start it again in another --out"
DATASET_FIELDS = {"source": str, "complete": bool, "digest": str, "training_samples": int, "classes": list}


def digest(arrays):
    """sha256 of a model's weights: the little-endian bytes of every array, C order, in parameter order.  Hex."""
    total = hashlib.sha256()
    for array in arrays.values():
        total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return total.hexdigest()


def read_npz(path, mend):
    """{name: array} of an .npz file.  Raises UserError, ending in `mend`, if it is missing, cut short or damaged."""
    try:
        return npy.read_npz(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {mend}") from None
    except Exception as error:   # zipfile, zlib and NumPy each raise their own for damaged bytes
        raise UserError(f"{path} is damaged ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                        f"); {mend}") from None


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
            raise UserError(f"{self.path} cannot be written ({error.strerror}); choose another --out") from None
        if self.is_locked_elsewhere():
            self.lock.close()
            raise UserError(f"another process is training in {self.path}; wait for it or choose another --out")
        return self

    def is_locked_elsewhere(self):
        """Takes the lock, unless another process holds it or has just removed it with the folder."""
        held = system.lock(self.lock)
        if held is None:
            system.say_once(f"there are no locks for {self.path}: see to it that no other process trains there")
            return False
        try:
            return not (held and os.path.samestat(os.fstat(self.lock.fileno()), os.stat(self.path / LOCK)))
        except FileNotFoundError:
            return True

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
            lines, lengths[name] = measure(self.path / name, count, log)
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


def measure(path, count, log):
    """(lines, their bytes) of the first `count` lines of a file, which may be missing.  log: a sha256 they go into."""
    lines = length = 0
    if path.exists():
        with open(path, "rb") as file:
            while lines < count and (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
                log.update(line)
                lines, length = lines + 1, length + len(line)
    return lines, length


def write_checkpoint(path, arrays, numbers, steps_digest=None):
    """Weights and numbers as an .npz whose bytes depend on them and on the config.json beside it, and on nothing else.

    steps_digest: the sha256 (bytes) of the steps.txt it counts, where there is one.
    """
    content = {**{"weight." + name: array for name, array in arrays.items()},
               **{name: as_array(value) for name, value in numbers.items()}}
    if steps_digest:
        content[STEPS_SEAL] = np.frombuffer(steps_digest, np.uint8)
    packed = io.BytesIO()
    np.savez(packed, **content, **{SEAL: np.frombuffer(seal_of(path, content), np.uint8)})
    write_atomically(path, packed.getvalue())


def seal_of(path, content):
    """The seal of a checkpoint: sha256 (bytes) of the config.json beside it and of its arrays, names and types too.

    content: {name: array} of all it holds but the seal, in order.
    Raises OSError or ValueError if config.json cannot be read.
    """
    config = path.with_name(CONFIG)
    description = strict_json(read_bounded(config, LARGEST_CONFIG)) if config.exists() else {}
    if "dataset" in description:
        description["dataset"] = {name: description["dataset"][name] for name in SEALED}
    total = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, array in content.items():
        total.update(f"\n{name} {array.dtype.newbyteorder('<').str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return total.digest()


def as_array(number):
    """A number as it is saved; an integer of over 64 bits, which NumPy would pickle, as its little-endian bytes."""
    if type(number) is int and number >= 2**64:
        return np.frombuffer(number.to_bytes((number.bit_length() + 7) // 8, "little"), np.uint8)
    return np.asarray(number)


def as_number(array):
    """The inverse of `as_array`; None of what it does not make."""
    if array.shape == () and array.dtype.kind in "iuf":
        return array.item()
    big = int.from_bytes(array.tobytes(), "little") if array.dtype == np.uint8 and array.ndim == 1 else 0
    return big if 2**64 <= big < 2**256 else None


def read_checkpoint(path):
    """({name: weight array}, {name: number}) of a checkpoint.  Raises UserError if it is damaged."""
    mend = "the run cannot be read: train it again in another --out"
    content = read_npz(path, mend)
    seal = content.pop(SEAL, None)
    try:
        if seal is not None and seal.tobytes() != seal_of(path, content):
            raise UserError(f"{path} or the {CONFIG} beside it is damaged: they are not as they were written; {mend}")
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise UserError(f"{path.with_name(CONFIG)} cannot be read ({error}); {mend}") from None
    content.pop(STEPS_SEAL, None)
    arrays = {name[len("weight."):]: array for name, array in content.items() if name.startswith("weight.")}
    numbers = {name: array for name, array in content.items() if not name.startswith("weight.")}
    numbers = {name: as_number(array) for name, array in numbers.items()}
    if None in numbers.values() or type(numbers.get("step")) is not int or numbers["step"] < 0:
        raise UserError(f"{path} is not a checkpoint of a run; {mend}")
    return arrays, numbers


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
        raise UserError(f"{name} cannot be read ({error}); {mend}") from None
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
