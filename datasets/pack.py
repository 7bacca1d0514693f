"""The command that makes one .npz file of what people have, for `--data FILE.npz`:

    python -m datasets.pack SOURCE OUT.npz [--split 0.2] [--size 32] [--grey] [--invert]

SOURCE is a folder with a sub-folder a class, of pictures (PNG, JPEG, BMP, GIF), or of meshes or clouds (.off, .npy,
.txt, .xyz); a folder in ModelNet's layout; a folder of IDX files, or one of them; a table (.csv, .tsv) of labels and
pixels, or a folder of two, one called train and the other test. packing/ has a reader for each.
zo_numpy/run/own_data.py says what the file holds.

Samples that stand in their source class after class are shuffled, so that the last ones may be held out of training.
"""

import sys
from functools import partial

import numpy as np

from datasets.modelnet import NAMES, in_any_case
from datasets.packing import Problems, class_folders, idx_pairs, modelnet_clouds, pictures, shapes, table
from datasets.packing.options import parse
from datasets.packing.packed_file import PackedFile
from datasets.packing.places import places
from datasets.progress import Progress
from zo_numpy.errors import UserError
from zo_numpy.files import short
from zo_numpy.samples import DataError, check_classes, fingerprints, repeated

# What an option is for; it is refused elsewhere.
MEANT_FOR = {"size": "pictures", "grey": "pictures", "invert": "pictures", "points": "clouds", "scale": "clouds",
             "label": "tables", "shape": "tables"}


def pack(source, out, options, announce=print):
    """Write the .npz file `out` of what the path `source` holds.  options: packing.options.Options.

    announce: is called with one-line strings: what is left out or changed, and at last what the file holds.
    Raises DataError naming files or rows that cannot be used, and OSError where the file cannot be written.
    """
    where, problems = short(source), Problems()
    reader = reader_of(source, where, options, problems, announce)
    if problems.count:
        for _ in reader.samples():   # finds all others, so that they are said together
            pass
        problems.check(where, reader.mend)
    part, row = places(reader, options, where, announce)
    labels = [reader.labels[members] for members in in_order(part, row)]
    odd = check_classes(*labels, reader.classes, where)
    if odd:
        announce(odd)
    out.parent.mkdir(parents=True, exist_ok=True)
    with PackedFile(out, reader) as file:
        prints, brightest = put_all(reader, part, row, problems, file)
        problems.check(where, reader.mend)
        if brightest <= 1:
            raise DataError(f"{where}: the largest value of all pictures is {brightest} where white is 255, so they "
                            "would be black: multiply them by 255")
        warn_of_repeats(reader, part, prints, announce)
        file.finish(labels)
    announce(f"{short(out)}: {len(labels[0]):,} training and {len(labels[1]):,} test samples of "
             f"{' x '.join(map(str, reader.shape))}, {len(reader.classes)} classes")


def put_all(reader, part, row, problems, file):
    """Put all samples in their places.  Returns (their fingerprints, (N,) uint64; the largest byte, 255 of clouds)."""
    prints, brightest = np.zeros(len(row), np.uint64), 0
    progress = Progress("packing", "samples")
    for i, sample in enumerate(reader.samples()):
        if sample is not None and not problems.count:
            prints[i] = fingerprints(sample[None])[0]
            brightest = max(brightest, int(sample.max())) if sample.dtype == np.uint8 else 255
            file.put(part[i], row[i], sample)
        progress.show(i + 1, len(row))
    progress.clear()
    return prints, brightest


def in_order(part, row):
    """The samples of each of the two parts, in order of their rows."""
    for number in range(2):
        members = np.flatnonzero(part == number)
        yield members[np.argsort(row[members])]


def warn_of_repeats(reader, part, prints, announce):
    """Say how many test samples are training samples too."""
    train, test = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    found, first = repeated(prints[train], prints[test])
    if found.size:
        announce(f"WARNING: {found.size:,} of {len(test):,} test samples are training samples too, such as "
                 f"{reader.name(test[found[0]])} and {reader.name(train[first[0]])}: accuracy on the test part will be "
                 "too high")


def reader_of(source, where, options, problems, announce):
    """The reader that a source needs, see packing/.  Raises DataError if it is of no kind that can be packed."""
    if not source.exists():
        raise DataError(f"{where} does not exist: name a folder or a file")
    files = class_folders.files_in(source) if source.is_dir() else [source]
    tables = [path for path in files if path.suffix.lower() in table.KINDS]
    idx = [path for path in files if path not in tables and idx_pairs.is_idx(path)]
    if idx:
        kinds = ("pictures",)
        make = partial(idx_pairs.IdxPairs, idx_pairs.find(source, where))
    elif tables:
        kinds = ("tables", "pictures")
        make = partial(table.Table, table.find(tables, where))
    elif source.is_dir() and in_any_case(source, NAMES).is_file():
        kinds = ("clouds",)
        make = partial(modelnet_clouds.ModelNetClouds, source)
    elif source.is_dir():
        found = class_folders.find(source, announce)
        kinds = ("pictures",) if found.kind == class_folders.PICTURES else ("clouds",)
        make = partial(pictures.Pictures if kinds == ("pictures",) else shapes.Shapes, found)
    else:
        raise DataError(f"{where} is no folder, no IDX file and no table ({', '.join(table.KINDS)}): python -m "
                        "datasets.pack --help says what can be packed")
    for name, wanted in MEANT_FOR.items():
        if getattr(options, name) and wanted not in kinds:
            raise DataError(f"--{name} is for {wanted}, and {where} holds {kinds[0]}: leave it out")
    return make(options, problems, announce)


def main(arguments=None):
    """Run the command. Returns the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        pack(*parse(arguments), partial(print, flush=True))
        return 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}: make room, or choose a place that can be written",
              file=sys.stderr)
    except KeyboardInterrupt:
        print("error: interrupted; nothing is written", file=sys.stderr)
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
