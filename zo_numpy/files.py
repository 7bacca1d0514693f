"""Files written whole or not at all, whatever happens meanwhile; files and JSON read with distrust."""
import json
import math
import os
import secrets


def write_atomically(path, content):
    """Replaces a file by `content` (bytes), or leaves it as it was.  Raises OSError.

    A hidden temporary file beside it is flushed to disk and takes its place; only kill -9 can leave that one behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)   # what the user knows of
        raise
    finally:
        temporary.unlink(missing_ok=True)


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


def finite(text):
    """A number of JSON as a float.  Raises ValueError for NaN, an infinity, or what is too large for a float."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def strict_json(content):
    """The value that UTF-8 bytes hold as JSON, all names unique and all numbers finite.

    Raises ValueError, and RecursionError if it is nested too deeply.
    """
    return json.loads(content.decode("utf-8"), object_pairs_hook=unique_names, parse_float=finite, parse_constant=finite)
