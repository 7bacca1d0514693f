"""Files and folders written whole or not at all, whatever happens meanwhile; files and JSON read with distrust.

What is being written has a hidden name beside its place, `.NAME.xxxxxxxx.part`, until it is whole. Only kill -9 and
power failures leave such a one there, and whoever writes the same NAME next removes it: a lock on the folder, shared
by all who write in it, says whether one may still be growing.
"""
import contextlib
import glob
import json
import math
import os
import pathlib
import secrets
import shutil

from . import system
from .errors import UserError

LOCK_SECONDS = 10.0


def remove_remains(path):
    """Removes what killed processes left half-written in the place of `path`."""
    for remains in path.parent.glob(f".{glob.escape(path.name)}.????????.part"):
        with contextlib.suppress(OSError):
            shutil.rmtree(remains) if remains.is_dir() else remains.unlink()


@contextlib.contextmanager
def hidden_name(path):
    """A name beside `path` to write under; remains are removed before, if nobody else is writing in the folder.

    Where a system or a file system has no locks, remains stay. A lock that somebody keeps is not waited for without
    end: what is written then may at worst be taken for remains, which is an error and damages nothing.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):   # Windows opens no folder
            folder = os.open(path.parent, os.O_RDONLY)
            stack.callback(os.close, folder)
            if system.lock(folder):          # otherwise somebody is writing
                remove_remains(path)
            # Shared with whoever else writes here.
            if system.lock(folder, LOCK_SECONDS, shared=True, name=path.parent) is False:
                system.say_once(f"another process has kept the lock of {path.parent} for {LOCK_SECONDS:g} s; writing "
                                "there without it")
        yield path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def write_atomically(path, content):
    """Replaces a file by `content` (bytes), or leaves it as it was.  Raises OSError."""
    with hidden_name(path) as temporary:
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                system.sync(file)
            os.replace(temporary, path)
        except OSError as error:
            error.filename = str(path)   # what the user knows of
            raise
        finally:
            with contextlib.suppress(OSError):   # what went wrong before is what is told
                temporary.unlink()


@contextlib.contextmanager
def scratch_folder(path):
    """A new empty folder beside the place of `path`, removed at the end unless it has moved there.  Raises OSError."""
    with hidden_name(path) as scratch:
        try:
            scratch.mkdir()
            yield scratch
        except OSError as error:
            if error.filename and str(error.filename).startswith(str(scratch)):
                error.filename, error.filename2 = str(path), None
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def read_bounded(path, most):
    """The bytes of a file of at most `most`.  Raises OSError, and ValueError if it is longer."""
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is longer than {most:,} bytes")
    return content


def unique_names(pairs):
    """The dict of a JSON object.  Raises ValueError if a name stands twice, of which Python would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _finite(text):
    """A number of JSON as a float.  Raises ValueError for NaN, an infinity, or what is too large for a float."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def strict_json(content):
    """The value that UTF-8 bytes hold as JSON, all names unique and all numbers finite.

    Raises ValueError, and RecursionError if it is nested too deeply.
    """
    return json.loads(content.decode("utf-8"), object_pairs_hook=unique_names, parse_float=_finite,
                      parse_constant=_finite)


def short(path):
    """A path as messages name it: from the working directory if it lies inside."""
    try:
        return path.relative_to(path.cwd())
    except (ValueError, OSError):
        return path


def user_path(text):
    """The path that a user wrote, `~` and `~name` resolved.  Raises UserError if it can be none.

    A pipe that has a name is refused: who opens it waits without end for somebody to write into it.
    """
    if "\0" in str(text):
        raise UserError(f"{text!r} is no path: it holds a byte of value 0; name another")
    try:
        path = pathlib.Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{text} names a home folder that is not known: write the whole path") from None
    with contextlib.suppress(OSError):   # what it is cannot be told: who opens it says why
        if path.is_fifo() and not path.is_relative_to("/dev"):   # the shell's own pipes are there
            raise UserError(f"{path} is a pipe and no file: save into a file what comes out of it, and name that")
    return path
