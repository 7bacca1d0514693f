"""Trains in child processes that are killed at every kind of file operation, until the run is finished.

    python tests/dying_run.py SEED train --out FOLDER ...

A child does half of the file operation that the seed chose, where an operation has halves, and kills itself;
the next child resumes. Prints a line `OPERATION DEATHS` for each kind of operation.
"""
import collections
import os
import random
import signal
import sys

from zo_numpy import files
from zo_numpy.__main__ import main
from zo_numpy.run import folder as run_folder, trainer

MOST_OPERATIONS = 30   # in the life of a child


class Death:
    """Comes at the n-th file operation from now, and notes in a pipe which kind that was."""

    def __init__(self, operations, pipe):
        self.left, self.pipe = operations, pipe

    def may_come(self, kind, half=lambda: None):
        self.left -= 1
        if self.left == 0:
            half()
            os.write(self.pipe, kind.encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)


class DyingFile:
    """An open file whose writes, flushes and cuts may be the last thing its process does."""

    def __init__(self, file, death):
        self.file, self.death = file, death

    def write(self, content):
        def half():
            self.file.write(content[:len(content) // 2])
            self.file.flush()
        self.death.may_come("write", half)
        return self.file.write(content)

    def flush(self):
        self.death.may_come("flush")
        self.file.flush()

    def truncate(self, length):
        self.death.may_come("truncate")
        return self.file.truncate(length)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def live(options, death):
    """Trains with file operations that lead to `death`.  Returns the exit status, if there is one."""
    def dying(kind, operation):
        def call(*arguments):
            death.may_come(kind + " to come")
            result = operation(*arguments)
            death.may_come(kind + " done")
            return result
        return call

    for module in (files, run_folder):   # stands before the built-in one
        module.open = lambda path, mode: DyingFile(open(path, mode), death)
    os.fsync, os.replace = dying("fsync", os.fsync), dying("replace", os.replace)
    trainer.SAVE_EVERY_SECONDS = -1   # after every step
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return main(options + ["--resume"])


def run(seed, options):
    draw = random.Random(seed)
    notes, pipe = os.pipe()
    while True:
        operations = draw.randint(1, MOST_OPERATIONS)
        child = os.fork()
        if not child:
            os._exit(live(options, Death(operations, pipe)))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
    os.close(pipe)
    deaths = collections.Counter(os.fdopen(notes).read().splitlines())
    for kind, count in sorted(deaths.items()):
        print(kind, count)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))
