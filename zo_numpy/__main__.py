"""The command line: python -m zo_numpy COMMAND. Runs a command and turns what went wrong into one line."""
import os
import sys

from . import commands
from .arguments import parse
from .clone import DataError
from .errors import UserError


def complain(error):
    """One line on stderr, whatever the message quotes.  Returns the exit status."""
    drop_output()
    print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
    return 2


def drop_output():
    """Drops what cannot be printed any more, or Python would complain about it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments=None):
    """Runs one command.

    Returns the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C, 141 if nobody reads the output.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")   # file names may hold what the terminal cannot show
    try:
        options = vars(parse(arguments))
        return getattr(commands, options.pop("command"))(**options) or 0
    except (UserError, DataError) as error:
        return complain(error)
    except BrokenPipeError:
        drop_output()
        return 141   # as if SIGPIPE had ended it
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}; free some space or choose a folder that can be written")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
