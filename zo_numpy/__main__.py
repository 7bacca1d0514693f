"""The command line: python -m zo_numpy COMMAND, where it is installed zo-numpy COMMAND.

Runs a command and turns what went wrong into one line.
"""
import importlib.util
import os
import sys

# One level of threads: tiles.py cuts batches over the cores, so BLAS must not start threads of its own in each tile.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")   # read when NumPy is first imported, below

OLDEST_NUMPY = (1, 26)   # as setup.cfg has it


def _unusable():
    """What is wrong with the packages of this Python, in words; None if nothing is. Variables can lead to others'."""
    missing = [name for name in ("numpy", "matplotlib") if not importlib.util.find_spec(name)]
    if missing:
        return f"{sys.executable} has no {' and no '.join(missing)}"
    foreign = "; PYTHONPATH may lead there" if "PYTHONPATH" in os.environ else ""
    try:
        import numpy
        version = tuple(map(int, numpy.__version__.split(".")[:2]))
    except Exception as error:   # of another Python, of another system, half of it
        where = importlib.util.find_spec("numpy").origin
        return f"{sys.executable} cannot use {where} ({' '.join(str(error).split())[:100]}){foreign}"
    if version < OLDEST_NUMPY:
        return f"{numpy.__file__} is NumPy {numpy.__version__}, and 1.26 or newer is needed{foreign}"


if problem := _unusable():
    print(f"error: {problem}; use the environment that `make` makes (.venv/bin/python), or mend this one with `pip "
          "install -e .`", file=sys.stderr)
    sys.exit(2)

from .app import commands  # noqa: E402
from .app.arguments import parse  # noqa: E402
from .errors import UserError  # noqa: E402


def _complain(error):
    """One line on stderr, whatever the message quotes.  Returns the exit status."""
    _drop_output()
    print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
    return 2


def _drop_output():
    """Drops what cannot be printed any more, or Python would complain about it at exit."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments=None):
    """Runs one command.

    Returns the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C, 141 if nobody reads the output.
    """
    try:
        options = vars(parse(arguments))
        return getattr(commands, options.pop("command"))(**options) or 0
    except UserError as error:
        return _complain(error)
    except BrokenPipeError:
        _drop_output()
        return 141   # as if SIGPIPE had ended it
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}; free some space or choose a folder that can be written")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run():
    """The command line of a process, which ends with it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:   # a shell closed it
            setattr(sys, name, open(os.devnull, "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")   # file names may hold what a terminal cannot show
    sys.exit(main())


if __name__ == "__main__":
    run()
