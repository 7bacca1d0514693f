"""What a user can mend, said in one line."""


class UserError(Exception):
    """A mistake or a condition the user can mend; the message says what it is and how. Exit status 2, no traceback."""


class Diverged(UserError):
    """Training that has left the finite numbers. Whoever knows the run's folder adds which checkpoint is left."""
