"""Writing a file so that it is there whole or not at all, whatever happens meanwhile."""
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
