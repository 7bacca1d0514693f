"""HDF5 files of point clouds, read by a child process: libhdf5 trusts what a file says, and a damaged one can crash it,
hang it or make it ask for any amount of memory. In the child that becomes what it is, a bad file.

One child reads all the files of a data set, in order. It has limits of memory and time, and answers on a pipe: for each
message a line of JSON, {"bytes": N}, and then N bytes; or {"error": text}, its last. Of a file come, in native byte
order, the number of clouds (int64), the clouds in blocks (float32, the points asked for), and their labels (int64). The
parent believes none of the numbers before it has compared them. Where the system has no such limits (Windows), the
child process is all the protection there is.
"""

import errno
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

import zo_numpy
from zo_numpy.clouds import chosen
from zo_numpy.files import short
from zo_numpy.samples import DataError
from zo_numpy.system import resource, say_once

HOMES = [str(Path(module).resolve().parent.parent) for module in (__file__, zo_numpy.__file__)]   # of both packages
CHILD = "import sys; sys.path[:1] = sys.argv[1:]; from datasets.hdf5 import child; child()"
CHILD_BYTES = 1 << 29           # of address space, beside what the child has when it starts
FILE_SECONDS = 300              # for one file, of the clock and of the processor
BLOCK = 1 << 24                 # bytes of a block of clouds before points are chosen
MAX_VALUES = 1 << 28            # coordinates in one file: 1 GB as float32
MAX_LINE = 8000                 # bytes of a line of JSON
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read_files(paths, points):
    """Yield (clouds, labels) of each file: (N, points, 3) float32, (N,) int64, N at least 1.

    paths: of files in ModelNet's layout. points: of each cloud, taken at even steps. The values of coordinates and
    labels are for the caller to check.
    Raises DataError naming the file that is not as it should be, and the mend.
    """
    if not resource:
        say_once("this system limits neither memory nor time: give only HDF5 files that you trust")
    process = start(paths, points)
    try:
        for path in paths:
            watch = threading.Timer(FILE_SECONDS, process.kill)
            watch.daemon = True
            watch.start()
            try:
                pair = receive_file(process.stdout, points)
            except DataError:
                raise
            except (EOFError, ValueError, LookupError, TypeError, OSError) as error:
                raise DataError(f"{short(path)} is not a sound HDF5 file (reading it {why(process)}; {error}): get it "
                                "anew") from None
            finally:
                watch.cancel()
            yield pair
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def start(paths, points):
    """The child as a Popen, told what to read."""
    # One thread, as each takes address space, and no code out of HDF5's plug-ins.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    process = subprocess.Popen([sys.executable, "-c", CHILD, *HOMES], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=environment)
    try:
        with process.stdin as request:
            request.write(json.dumps([points, *map(str, paths)]).encode())
    except OSError:   # it is gone already, which reading will show
        pass
    return process


def why(process):
    """What became of a child that stopped in the middle of an answer, in words."""
    process.kill()
    status = process.wait()
    return {-9: "took too long or too much memory", -24: "took too long"}.get(status, f"ended with status {status}")


def receive(stream, most):
    """The bytes of the next message. Raises DataError with what the child has to say, EOFError if it has gone."""
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise EOFError("the answer is cut off")
    message = json.loads(line)
    if "error" in message:
        raise DataError(" ".join(str(message["error"]).split()))
    length = message["bytes"]
    if type(length) is not int or not 0 < length <= most:
        raise ValueError("the answer is of the wrong length")
    content = stream.read(length)
    if len(content) < length:
        raise EOFError("the answer is cut off")
    return content


def receive_file(stream, points):
    """(clouds, labels) of one file."""
    count = int(np.frombuffer(receive(stream, 8), np.int64)[0])
    if not 0 < 3 * count * points <= MAX_VALUES:
        raise ValueError("the answer has a wrong number of clouds")
    clouds = np.empty((count, points, 3), np.float32)
    flat, filled = clouds.reshape(-1), 0
    while filled < flat.size:
        block = np.frombuffer(receive(stream, 4 * (flat.size - filled)), np.float32)
        flat[filled:filled + block.size] = block
        filled += block.size
    return clouds, np.frombuffer(receive(stream, 8 * count), np.int64).reshape(count)


# The child.

def child():
    """Read what stdin asks for and answer on stdout."""
    points, *paths = json.load(sys.stdin)
    serve(sys.stdout.buffer, points, paths)


def serve(out, points, paths):
    """Write the messages of all files, or of those before the first that cannot be read, and why."""
    try:
        import h5py                     # here alone: no other process touches libhdf5
    except ImportError:
        answer(out, error=f"{sys.executable} has no h5py, which reads ModelNet's files: install it")
        return
    limit_memory()
    for path in map(Path, paths):
        limit_seconds()
        try:
            with h5py.File(path, "r") as file:
                send_file(out, file, path, points)
        except DataError as error:
            return answer(out, error=str(error))
        except Exception as error:      # HDF5's own, of many kinds
            return answer(out, error=f"{short(path)} {problem(path, error)}")


def problem(path, error):
    """What is wrong with a file that HDF5 could not read, and the mend."""
    what = " ".join(str(error).split())[:120]   # its text may have several lines
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EACCES) and "lock" in what:
        return "is locked, as another program is writing to it: close that program, or copy the file"
    if number:
        return f"cannot be read ({os.strerror(number)}): see to it that it is a file that you may read"
    with open(path, "rb") as file:
        start = file.read(8)
    if start == SIGNATURE or not start:
        return f"is not a sound HDF5 file ({what}): get it anew, it may have been cut off"
    if start == b"version ":
        return "is not a sound HDF5 file but a pointer of Git LFS: get the file itself, by `git lfs pull`"
    return f"is not a sound HDF5 file, as it starts with {start.hex()}: get it anew"


def limit_memory():
    """Cap the address space, so that a size that a file merely claims cannot be had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + CHILD_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (AttributeError, OSError, ValueError):   # no such limit here
        pass


def limit_seconds():
    """Give the process FILE_SECONDS more of the processor."""
    if resource:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = math.ceil(used.ru_utime + used.ru_stime) + FILE_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def answer(out, content=None, error=None):
    """Write one message: `content`, an array, or an error's text."""
    # An error is cut to what fits MAX_LINE, as a character can take 6 bytes of JSON.
    head = {"error": error[:MAX_LINE // 8]} if error else {"bytes": content.nbytes}
    out.write(json.dumps(head).encode() + b"\n")
    if not error:
        out.write(content.tobytes())
    out.flush()


def send_file(out, file, path, points):
    """Write the messages of one open file, some clouds at a time."""
    data, label = (member(file, name, path) for name in ("data", "label"))
    check_shapes(path, data, label, points)
    answer(out, np.array([len(data)], np.int64))
    indices, step = chosen(data.shape[1], points), data.chunks[0] if data.chunks else 1
    # Whole chunks of the file, so that each is unpacked once.
    rows = max(1, BLOCK // (data.shape[1] * 3 * data.dtype.itemsize) // step) * step
    for first in range(0, len(data), rows):
        with np.errstate(over="ignore"):   # to an infinity, which the caller refuses
            answer(out, data[first:first + rows][:, indices].astype(np.float32))
    labels = label[()].reshape(-1)
    if labels.dtype == np.uint64:
        labels = np.minimum(labels, np.uint64(1 << 32))   # what int64 could not hold stays no class
    answer(out, labels.astype(np.int64))


def member(file, name, path):
    """A data set inside an HDF5 file that keeps its values in that same file."""
    import h5py
    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        raise DataError(f"{short(path)} keeps its `{name}` in another file: store it in this one")
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        held = ", ".join(sorted(file)[:10]) or "nothing"
        raise DataError(f"{short(path)} has no `{name}`, it holds {held}: a file of this layout holds `data` and "
                        "`label`; restore it from the data set, or rename what it holds")
    if found.external or found.is_virtual:
        raise DataError(f"{short(path)} keeps its `{name}` in another file: store it in this one")
    return found


def check_shapes(path, data, label, points):
    """Refuse what is not (clouds, points, 3) floats and as many integers."""
    if data.ndim != 3 or data.shape[2] != 3 or data.dtype.kind != "f" or not data.shape[0]:
        raise DataError(f"{short(path)} holds `data` of {data.dtype} {data.shape} where floats (clouds, points, 3) are "
                        "expected: restore it from the data set")
    if math.prod(data.shape) > MAX_VALUES:
        raise DataError(f"{short(path)} holds {math.prod(data.shape):,} coordinates: split it into files of at most "
                        f"{MAX_VALUES:,}")
    if label.dtype.kind not in "iu" or label.shape not in ((len(data), 1), (len(data),)):
        raise DataError(f"{short(path)} holds `label` of {label.dtype} {label.shape} where {len(data)} integers are "
                        "expected, one a cloud: restore it from the data set")
    if data.shape[1] < points:
        raise DataError(f"{short(path)} has {data.shape[1]} points a cloud: ask for at most that many with --points "
                        f"{data.shape[1]}")
