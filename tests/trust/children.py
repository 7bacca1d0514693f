"""Child processes to be disturbed: forked with everything imported, so that a moment in one is a moment of its work.

A child runs one function whose result is its exit status. What it says goes to files that its parent reads at the end.
"""
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from typing import NamedTuple

PATIENCE = 120   # seconds, after which a child hangs


class End(NamedTuple):
    """How a child ended: its exit status, negative for a signal's number, what it said, and how long it lived."""
    status: int
    out: str
    err: str
    seconds: float


class Child:
    """A forked process.  work: called there; returns the exit status.  user: whom to become, a number, or None."""

    def __init__(self, work, user=None):
        self.files = [tempfile.TemporaryFile("w+") for _ in "oe"]
        sys.stdout.flush()
        self.started = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            self.live(work, user)

    def live(self, work, user):
        status = 99   # of an exception, which is what a user must never see
        try:
            for number, (name, file) in enumerate(zip(("stdout", "stderr"), self.files), 1):
                os.dup2(file.fileno(), number)
                setattr(sys, name, open(number, "w", closefd=False))   # a test's own may go elsewhere
            signal.signal(signal.SIGINT, signal.default_int_handler)   # it may be ignored in a background job
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            status = work() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def signal_at(self, seconds, number):
        """Sends a signal so long after the start."""
        time.sleep(max(0, self.started + seconds - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self, patience=PATIENCE):
        """Waits for it.  Returns its End; a child that hangs is killed, and its status is -9."""
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > self.started + patience:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.001)
        seconds = time.monotonic() - self.started
        said = []
        for file in self.files:
            file.seek(0)
            said.append(file.read())
            file.close()
        return End(os.waitstatus_to_exitcode(ended[1]), *said, seconds)


def run(work, user=None):
    """Runs a child to its end."""
    return Child(work, user).end()


def disturbed(work, seconds, *signals):
    """Runs a child that is sent signals so long after its start."""
    child = Child(work)
    for number in signals:
        child.signal_at(seconds, number)
    return child.end()


class Moments:
    """Random moments in the life of a child, spread evenly over all of it: each in the next of `count` equal parts."""

    def __init__(self, seed, count, seconds):
        self.draw, self.count, self.seconds, self.number = random.Random(seed), count, seconds, 0

    def next(self):
        part = self.number % self.count
        self.number += 1
        return (part + self.draw.random()) / self.count * self.seconds
