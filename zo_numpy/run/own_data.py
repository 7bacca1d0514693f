"""A user's own data: one .npz file of samples and labels, as np.savez or `python -m datasets.pack` writes it.

    x_train, x_test         images uint8 (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 to 4; or clouds float (N, P, 3)
    y_train, y_test         labels, whole numbers from 0, (N,) or (N, 1)
    classes                 optional: (K,) text, the name of each class; without it, as many as labels need
    preparation             optional: JSON text, what was done to the samples, see preparation.py

The first four may also be called train_images, train_labels, test_images and test_labels. Images may be floats from 0
to 1, or whole numbers of another type, too; they become bytes. What is stored uncompressed, in the type that is wanted,
is mapped, so that a file may be larger than memory; all else is read. INT8 makes its clouds before the first step, a
quarter of the file, and --rotate its images.

The digest is SHA-256 over the names of the classes with line breaks between, and then of train_images, train_labels,
test_images and test_labels: a line "NAME TYPE SIZES", such as "train_images |u1 60000 1 28 28", after a line break and
before another, and the array's bytes in C order, little-endian, as the `Dataset` holds it.
"""
import hashlib

import numpy as np

from ..files import short
from ..mapped import chunks, members
from ..preparation import from_text
from ..samples import MOST_CLASSES, DataError, Dataset, check_classes, fingerprints, label_type, repeated, some
from .own_samples import as_bytes, as_clouds, channels_first, is_clouds, sizes

PARTS = ("train", "test")
OTHER_NAMES = {"x_train": "train_images", "y_train": "train_labels", "x_test": "test_images", "y_test": "test_labels"}


def load_own_data(path, points=0, announce=print):
    """Return the `Dataset` in an .npz file; its name is the file's.

    path: a pathlib.Path.  points: of each cloud, taken at even steps; 0: all.  announce: is called with one-line
    strings: what was converted, what is odd, and at last what the file holds.

    Raises DataError naming the file, the member and the rows that are not as they should be, and the mend.
    """
    file = _OwnFile(path, announce)
    samples = [file.array("x", part) for part in PARTS]
    labels = [_whole_labels(file.array("y", part), file.where("y", part), len(x)) for part, x in zip(PARTS, samples)]
    classes = file.classes(labels)
    labels = [array.astype(label_type(len(classes))) for array in labels]
    odd = [check_classes(*labels, classes, file.name)]
    shaped = [file.where("x", part) for part in PARTS]
    if is_clouds(samples[0]):
        samples = [as_clouds(array, where, points) for array, where in zip(samples, shaped)]
    else:
        samples = [channels_first(array, where) for array, where in zip(samples, shaped)]
        samples = as_bytes(samples, shaped, announce)
    if samples[0].shape[1:] != samples[1].shape[1:]:
        raise DataError(f"{shaped[0]} holds samples of {sizes(samples[0])} and x_test of {sizes(samples[1])}: make "
                        "them alike")
    digest, prints = _read_through(file.name, samples, labels, classes)
    odd.append(shared(*prints))
    for line in filter(None, odd):
        announce(f"{file.name}: {line}")
    for array in (*samples, *labels):
        array.setflags(write=False)
    kind = "clouds" if samples[0].ndim == 3 else "images"
    announce(f"{file.name}: {len(labels[0]):,} training and {len(labels[1]):,} test {kind} of {sizes(samples[0])}, "
             f"{len(classes)} classes")
    return Dataset(path.name, samples[0], labels[0], samples[1], labels[1], classes, source=f"own file {file.name}",
                   complete=True, digest=digest, preparation=file.preparation(samples[0].shape[1:]))


class _OwnFile:
    """The members of the file that are wanted. Errors name it."""

    def __init__(self, path, announce):
        self.name = short(path)
        self.found = self.sound("holds no arrays that can be read", members, path)
        self.names = {}     # x_train -> the name it has here
        for name, other in OTHER_NAMES.items():
            here = [key for key in (name, other) if key in self.found]
            if len(here) != 1:
                what = "both" if here else "neither"
                raise DataError(f"{self.name} holds {what} {name} and {other} (it holds {some(sorted(self.found))}): "
                                "save x_train, y_train, x_test and y_test with np.savez")
            self.names[name] = here[0]
        others = set(self.found) - {*self.names.values(), "classes", "preparation"}
        if others:
            announce(f"{self.name}: left out: {some(sorted(others))}")

    def where(self, letter, part):
        """What messages call a member: the file's name and its own."""
        return f"{self.name}: {self.names[f'{letter}_{part}']}"

    def sound(self, problem, read, *arguments):
        """What a reader returns; its errors, of many kinds where bytes are damaged, become one."""
        try:
            return read(*arguments)
        except OSError as error:
            raise DataError(f"{self.name} cannot be read ({error.strerror or error}): name an .npz file") from None
        except MemoryError:
            raise DataError(f"{self.name} {problem} (memory is short): save it uncompressed, by np.savez") from None
        except Exception as error:
            why = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(f"{self.name} {problem} ({why}): save it anew with np.savez") from None

    def array(self, letter, part):
        """The array of a part's samples ("x") or labels ("y")."""
        name = self.names[f"{letter}_{part}"]
        member = self.found[name]
        if member.dtype.hasobject:
            raise DataError(f"{self.name}: {name} holds Python objects where numbers are wanted: give all samples one "
                            "size and save them as one array")
        if member.dtype.kind in "US":
            raise DataError(f"{self.name}: {name} holds text: save numbers from 0, and the names as `classes`")
        return self.sound(f"has a damaged {name}", member.array)

    def texts(self, name):
        """The texts of an optional member, or None."""
        if name not in self.found:
            return None
        return self.sound(f"has a {name} that is no text", self.found[name].text)

    def classes(self, labels):
        """The names of the classes. Raises DataError if a label has none."""
        names = self.texts("classes")
        most = MOST_CLASSES if names is None else len(names)
        for part, array in zip(PARTS, labels):
            wrong = np.flatnonzero(array >= most)
            if wrong.size:
                raise DataError(f"{self.where('y', part)}: {wrong.size:,} labels are too large, such as "
                                f"{array[wrong[0]]} in row {wrong[0]}: labels are 0 to {most - 1}" +
                                (", as `classes` has so many names" if names else ""))
        return tuple(names or map(str, range(1 + max(int(array.max(initial=0)) for array in labels))))

    def preparation(self, shape):
        """The preparation that the file states, or None."""
        texts = self.texts("preparation")
        return texts and self.sound("has a `preparation` that datasets.pack does not write", from_text, texts[0], shape)


def _whole_labels(array, where, count):
    """Labels as (N,) int64.  count: of samples.  Raises DataError naming rows."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        mend = "np.argmax(y, axis=1)" if array.ndim == 2 else "one number a sample"
        raise DataError(f"{where} has the shape {sizes(array, 0)} where labels are (N,): save {mend}")
    if len(array) != count:
        raise DataError(f"{where} holds {len(array):,} labels of {count:,} samples: save one for each")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where} holds {array.dtype}: save whole numbers")
    wrong = np.flatnonzero(~((array >= 0) & (array < 2**31) & (np.floor(array) == array)))
    if wrong.size:
        raise DataError(f"{where}: {wrong.size:,} labels are no whole numbers from 0, such as {array[wrong[0]]} in row "
                        f"{wrong[0]}: save whole numbers from 0")
    return np.array(array, np.int64)


def _read_through(name, samples, labels, classes):
    """(the digest, the fingerprints of both parts).  Raises DataError where no picture would be seen."""
    total, prints, brightest = hashlib.sha256("\n".join(classes).encode()), [], 0
    for part, pair in zip(PARTS, zip(samples, labels)):
        for what, array in zip(("images", "labels"), pair):
            kind = array.dtype.newbyteorder("<")
            total.update(f"\n{part}_{what} {kind.str} {' '.join(map(str, array.shape))}\n".encode())
            for rows in chunks(array):
                total.update(np.ascontiguousarray(array[rows]).astype(kind, copy=False))
        prints.append(np.concatenate([fingerprints(pair[0][rows]) for rows in chunks(pair[0])]))
        if pair[0].dtype == np.uint8:
            brightest = max(brightest, *(int(pair[0][rows].max()) for rows in chunks(pair[0])))
    if samples[0].dtype == np.uint8 and brightest <= 1:
        raise DataError(f"{name}: the largest value of all pictures is {brightest} where white is 255, so they would "
                        "be black: multiply them by 255")
    return total.hexdigest(), prints


def shared(train, test):
    """What is to be said of test samples that are training samples too, or nothing."""
    places, first = repeated(train, test)
    return places.size and (f"WARNING: {places.size:,} of {len(test):,} test samples are training samples too, such as "
                            f"test row {places[0]} and training row {first[0]}: accuracy on the test part will be too "
                            "high")
