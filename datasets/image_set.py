"""What is known of an image data set in MNIST's layout before a byte of it is read, and how its four files
become a `Dataset`.

The layout: images and labels of a training and a test part, each an IDX file under a fixed name. MNIST and
Fashion-MNIST share it, and so do other sets that are made to stand in for MNIST.
"""

import hashlib
from typing import NamedTuple

from datasets import idx
from zo_numpy.samples import DataError, Dataset

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
SMALLEST_FILE = TEST_LABELS

DIMENSIONS = {TRAIN_IMAGES: 3, TRAIN_LABELS: 1, TEST_IMAGES: 3, TEST_LABELS: 1}
SIDE = 28                                                           # pixels


class NpmPackage(NamedTuple):
    """Files in `folder` of an npm package."""

    package: str
    version: str
    folder: str

    @property
    def label(self):
        return f"npm package {self.package} {self.version}"


class DebianPackage(NamedTuple):
    """Files in `folder` of a Debian package (which Debian's relatives carry too)."""

    package: str
    folder: str

    @property
    def label(self):
        return f"Debian package {self.package}"


class ImageSet(NamedTuple):
    """The facts of one data set: its files, where they can be had, and how they are recognised."""

    name: str                   # as in `datasets.load`; also the name of its folder in a cache
    title: str                  # as it is written in a sentence
    classes: tuple              # name of each class, by label
    train_count: int            # images in the training part
    test_count: int             # images in the test part
    sha256: dict                # file name -> SHA-256 (hex) of the uncompressed file
    mirrors: tuple = ()         # URLs of folders that hold the files gzipped, the preferred one first
    registry: object = None     # the NpmPackage or DebianPackage with the same bytes, or None
    subset: object = None       # the ImageSet of a part of it that is in datasets/embedded/, or None

    def size(self, file):
        """Length of `file` uncompressed, in bytes."""
        count = self.train_count if file in (TRAIN_IMAGES, TRAIN_LABELS) else self.test_count
        return 16 + count * SIDE * SIDE if DIMENSIONS[file] == 3 else 8 + count

    def verified(self, file, data, where):
        """Return the uncompressed bytes of `file`, given plain or gzipped as `data`.

        Raises DataError, naming `where`, unless they are the official ones by their SHA-256.
        """
        plain = idx.unpack(data, DIMENSIONS[file], where, self.size(file))
        if digest(plain) != self.sha256[file]:
            raise DataError(f"{where} is not the official {self.title} file: its SHA-256 is "
                            f"{digest(plain)[:12]}.. where {self.sha256[file][:12]}.. is expected")
        return plain


def digest(data):
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def combined_digest(sha256):
    """`Dataset.digest` of four files, from a mapping of file name to SHA-256 (hex)."""
    return digest(b"".join(bytes.fromhex(sha256[file]) for file in FILES))


def assemble(spec, plain, source, folder):
    """Return the `Dataset` of four uncompressed IDX files; `folder` is named where they do not fit together.

    plain: file name -> bytes. Raises DataError if a file is malformed, images are not 28 by 28, a part is
    empty, image and label counts differ, or a label is no class.
    """
    where = {file: f"{folder}/{file}" for file in FILES}
    arrays = {file: idx.decode(plain[file], DIMENSIONS[file], where[file]) for file in FILES}
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        _check_part(arrays[images], arrays[labels], where[images], where[labels], len(spec.classes))
    counts = (len(arrays[TRAIN_LABELS]), len(arrays[TEST_LABELS]))
    return Dataset(
        name=spec.name,
        train_images=arrays[TRAIN_IMAGES][:, None],                 # (N, 1, 28, 28)
        train_labels=arrays[TRAIN_LABELS],
        test_images=arrays[TEST_IMAGES][:, None],
        test_labels=arrays[TEST_LABELS],
        classes=spec.classes,
        source=source,
        complete=counts == (spec.train_count, spec.test_count),
        digest=combined_digest({file: digest(plain[file]) for file in FILES}),
    )


def _check_part(images, labels, images_file, labels_file, classes):
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(f"{images_file} holds images of {images.shape[1]} by {images.shape[2]} pixels where "
                        f"{SIDE} by {SIDE} are expected")
    if len(images) != len(labels):
        raise DataError(f"{images_file} holds {len(images)} images but {labels_file} {len(labels)} labels")
    if not len(images):
        raise DataError(f"{images_file} holds no images")
    if labels.max() >= classes:
        first = int((labels >= classes).argmax())
        raise DataError(f"{labels_file} has label {labels[first]} at index {first} where labels are 0 to "
                        f"{classes - 1}")
