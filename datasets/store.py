"""Where data sets lie on this machine; their files found under their customary names, read, kept.

A file appears in a folder whole or not at all; one that is there already is replaced by a verified one only.
"""

import os
from pathlib import Path

from datasets import idx
from datasets.image_set import FILES, assemble
from zo_numpy.files import short, user_path, write_atomically
from zo_numpy.samples import DataError

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "embedded"
MOST_FOLDERS = 200


def default_parent():
    """The folder that holds the caches, a folder a data set: `cache` in a clone, else where a user's caches are."""
    if named := os.environ.get("ZO_NUMPY_DATA"):
        return user_path(named)
    if (HERE.parent / "setup.cfg").exists():
        return HERE / "cache"
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zo_numpy"
    except RuntimeError:   # there is no home
        return HERE / "cache"


def home(folder, name, files):
    """The folder that holds a data set of this name: inside `folder` the one called so, or `folder` itself, or the only
    one in it, three levels down at most, where all `files` lie. Names may differ in case, in - and in _.
    """
    named = [path for path in below(folder) if plain_name(path.name) == plain_name(name)]
    for place in (*named[:1], folder):
        nested = [place, *below(place), *(path for inner in below(place) for path in below(inner))]
        holding = [path for path in nested if all(candidates(path, file) for file in files)]
        if holding and (len(holding) == 1 or holding[0] == place):
            return holding[0]
    return named[0] if named else folder


def plain_name(name):
    return name.casefold().replace("-", "").replace("_", "")


def below(folder):
    """The folders in a folder, some hundred at most; none if it may not be looked into."""
    return [path for path in entries(folder) if os.path.isdir(path)][:MOST_FOLDERS]


def entries(folder):
    """What lies in a folder, in order of the names; nothing if it may not be looked into."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def candidates(folder, file):
    """The copies of `file` in `folder`: plain before gzipped, each under its two customary names, in any case; some
    programs unpack each file into a folder of its name.
    """
    dotted = file.replace("-idx", ".idx")
    names = [name.casefold() for name in (file, dotted, f"{file}.gz", f"{dotted}.gz")]
    found = [(names.index(path.name.casefold()), path) for path in entries(folder) if path.name.casefold() in names]
    inside = [(number, inner) for number, path in found for inner in (entries(path) if os.path.isdir(path) else ())
              if inner.name.casefold() in names]
    # os.path says no, where Path raises, about a folder that may not be looked into.
    return [path for _, path in sorted(found + inside) if os.path.isfile(path)]


def read(path):
    """Return the bytes of a file. Raises DataError if it cannot be read or is far too large."""
    try:
        if path.stat().st_size > idx.MAX_BYTES:
            raise DataError(f"{short(path)} is too large to be an IDX file of images")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{short(path)} cannot be read ({error.strerror})") from None


def write(path, data):
    """Write bytes so that `path` has all of them or is as it was, whatever happens. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def load_embedded(spec):
    """The part of the data set that is in this repository."""
    subset = spec.subset
    try:
        plain = {file: subset.verified(file, read(EMBEDDED / f"{file}.gz"), short(EMBEDDED / f"{file}.gz"))
                 for file in FILES}
    except DataError as error:
        raise DataError(f"{error}: restore it from the repository") from None
    source = (f"embedded subset: {subset.train_count:,} of {spec.train_count:,} training and "
              f"{subset.test_count:,} of {spec.test_count:,} test images")
    return assemble(subset, plain, source, EMBEDDED)._replace(complete=False)


class Cache:
    """The verified files of one data set, in memory and, where that is possible, in a folder.

    spec: the ImageSet. must_keep: a file that cannot be written to the folder is an error, not a remark.
    """

    MEND = "make room there or name another folder in ZO_NUMPY_DATA"

    def __init__(self, spec, folder, announce, must_keep):
        self.spec, self.folder, self.announce, self.must_keep = spec, folder, announce, must_keep
        self.plain = {}             # file name -> uncompressed bytes, verified
        self.writable = True        # until a write fails

    def missing(self):
        """The files that are still to be had."""
        return [file for file in FILES if file not in self.plain]

    def read(self):
        """Take what the folder holds. Returns what is to be said of the rest, should nothing else help."""
        damaged = []
        for file in FILES:
            for path in candidates(self.folder, file):
                try:
                    self.plain[file] = self.spec.verified(file, read(path), short(path))
                    break
                except DataError as error:
                    self.announce(f"{error}: looking for a sound copy")
                    damaged.append(path.name)
        return (f"unusable in {short(self.folder)}: {', '.join(damaged)}" if damaged
                else f"not in {short(self.folder)}")

    def keep(self, file, data, where):
        """Verify `file`, given plain or gzipped as `data` out of `where`, and keep it.

        Raises DataError if it is not the official file, KeepError if it must be kept and cannot be.
        """
        self.plain[file] = self.spec.verified(file, data, where)
        path = self.folder / file
        replaced = os.path.exists(path)
        try:
            if self.writable:
                write(path, self.plain[file])
        except OSError as error:
            self.writable = False
            problem = f"{self.spec.title} cannot be kept in {short(self.folder)} ({error.strerror or error})"
            if self.must_keep:
                raise KeepError(f"{problem}: {self.MEND}") from None
            self.announce(f"{problem}: it is used from memory this time; to keep it, {self.MEND}")
            return
        if replaced and self.writable:
            self.announce(f"{short(path)} is replaced by a verified copy")


class KeepError(DataError):
    """The data was had but could not be kept, which another source would not change."""
