"""Files from HTTP mirrors: which mirrors answer, and one bounded, watched download.

A firewall that swallows packets makes every connection wait, and four files from two mirrors would wait
eight times; so the mirrors are first asked all at once, under one deadline, and only those that answer are
used. Left out: resuming inside a file (a file that was fetched whole is kept, so a second run goes on there).
"""

import queue
import threading
import time
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from datasets.progress import Progress
from zo_numpy.samples import DataError

CONNECT_SECONDS = 4         # for all mirrors together to answer
STALL_SECONDS = 15          # without a byte, before a download is given up
SLOWEST = 2000              # bytes a second on average, below which a download is given up
CHUNK = 1 << 16


def host(url):
    """The host of a URL, as named in messages."""
    return urlsplit(url).netloc


def reason(error):
    """What went wrong with a request, in a few words on one line."""
    inner = getattr(error, "reason", None)                          # urllib wraps what the socket said
    inner = inner if isinstance(inner, Exception) else error
    text = " ".join(str(getattr(inner, "strerror", None) or inner).split())
    return text[:100] or type(inner).__name__


def answering(mirrors, file, suffix=".gz"):
    """Return (the mirrors that serve `file` + `suffix`, in the order given; {mirror: reason} for the others).

    Takes CONNECT_SECONDS at most, however many mirrors there are and whether or not their names resolve.
    """
    answers = queue.Queue()

    def ask(mirror):
        try:
            with urllib.request.urlopen(f"{mirror}/{file}{suffix}", timeout=CONNECT_SECONDS):
                answers.put((mirror, None))
        except (OSError, HTTPException, ValueError) as error:
            answers.put((mirror, reason(error)))

    for mirror in mirrors:
        # Daemons: a name look-up cannot be interrupted, and must not hold the program up at its end.
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    silent = dict.fromkeys(mirrors, "no answer")
    alive = set()
    deadline = time.monotonic() + CONNECT_SECONDS
    while len(alive) < len(silent):
        try:
            mirror, problem = answers.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            break
        alive.add(mirror)
        silent[mirror] = problem
    return ([mirror for mirror in mirrors if silent[mirror] is None],
            {mirror: problem for mirror, problem in silent.items() if problem})


def fetch(url, max_bytes, announce, file=None):
    """Return the body of `url` as bytes, showing progress on a terminal and one line at its end elsewhere.

    file: where a body too large for memory is written instead (binary); then nothing is returned.
    Raises DataError if it cannot be had, is cut off, stalls, or is longer than `max_bytes`.
    """
    start = time.monotonic()
    progress = Progress(url.rsplit("/", 1)[-1])
    body, length = [], 0
    keep = file.write if file else body.append
    try:
        with urllib.request.urlopen(url, timeout=STALL_SECONDS) as response:
            total = int(response.headers.get("Content-Length") or 0)
            if total > max_bytes:
                raise DataError(f"{url} is too large: {total} bytes where at most {max_bytes} are expected")
            while chunk := response.read1(CHUNK):
                length += len(chunk)
                if length > max_bytes:
                    raise DataError(f"{url} is too large: more than the {max_bytes} bytes expected")
                seconds = time.monotonic() - start
                if length < SLOWEST * (seconds - STALL_SECONDS):
                    raise DataError(f"{url} is too slow: {length} bytes in {seconds:.0f} s")
                keep(chunk)
                progress.show(length, total)
    except DataError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(f"{url}: {reason(error)}") from None
    finally:
        progress.clear()
    if total and length != total:
        raise DataError(f"{url} was cut off after {length} of {total} bytes")
    announce(f"  {url}: {length:,} bytes in {time.monotonic() - start:.1f} s")
    return b"".join(body)
