"""What a user can mend, said in one line."""


class UserError(Exception):
    """A mistake or a condition the user can mend; the message says what it is and how. Exit status 2, no traceback."""


class Diverged(UserError):
    """Training that has left the finite numbers. Whoever knows the run's folder adds which checkpoint is left."""


def why(error):
    """What an exception of Python or a library says, on one line and without the names of its own."""
    text = getattr(error, "strerror", None) or (str(error.args[0]) if isinstance(error, KeyError) and error.args else
                                                str(error))
    return " ".join(str(text).split())[:200] or "damaged"


def written(value):
    """The value of an option as the command line has it: (7, 3) is 7,3."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
