"""What only some systems have, in one place: locks, limits, measures of a process, signals.

Every caller goes on where a system or a file system has none of them. What is lost then is said on stderr, once. Of
the standard library, `fcntl` and `resource` are imported here alone; each is None where it does not exist (Windows).
"""
import errno
import functools
import os
import signal
import sys
import time

try:
    import fcntl
except ImportError:
    fcntl = None   # type: ignore[assignment]
try:
    import resource
except ImportError:
    resource = None   # type: ignore[assignment]

POLL_SECONDS = 0.05
PATIENCE = 1.0   # seconds of waiting that need no word
CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY}   # of a file system, not a disk


@functools.lru_cache(maxsize=None)
def say_once(text):
    """Prints a note on stderr, the first time that this process has it to say."""
    if sys.stderr:
        print(f"note: {text}", file=sys.stderr, flush=True)


def lock(file, seconds=0.0, shared=False, name=""):
    """Takes the advisory lock of an open file, or of a file's number; closing the file gives it back.

    seconds: how long to wait for who holds it.  name: of what is locked, for the note that there is something to wait
    for.  Returns True, False if another process holds it all that time, or None where there are no locks.
    """
    if not fcntl:
        return None
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    started = time.monotonic()
    while True:
        try:
            fcntl.flock(file, kind)
            return True
        except BlockingIOError:
            waited = time.monotonic() - started
        except OSError:   # a file system without locks
            return None
        if waited >= seconds:
            return False
        if waited >= PATIENCE:
            say_once(f"waiting for another process, which holds the lock of {name}, {seconds:g} s at most")
        time.sleep(POLL_SECONDS)


def sync(file):
    """Has an open file's bytes written to the disk, where the file system can do that.  Raises OSError if it fails."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
        say_once(f"the file system of {file.name} cannot sync: what is written may be lost if the power fails")


def processors():
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def largest_resident():
    """The largest resident set that this process has had, in bytes; None where the system does not tell."""
    if not resource:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest   # kilobytes elsewhere


def end_group(process):
    """Ends a Popen with a session of its own, and all that it has started; the process alone where there are none."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
