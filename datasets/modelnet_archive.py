"""ModelNet40's clouds from their mirrors: one archive of 435 MB, unpacked into the cache file by file.

No digest of the archive has been published, so what protects is this: only files of the layout are taken from it, none
larger than it may be, and by their plain names, so that nothing is written outside the cache; and before the data set
stands under its name, every cloud and label in it is read and must be as modelnet.py says, 9,840 or 9,843 training and
2,468 test clouds of 40 classes. That keeps a program safe and a mistake out. It does not prove that no cloud was
changed: compare the run's `dataset.digest` with somebody else's for that.
"""

import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib

from datasets import mirrors
from datasets.modelnet import read_folder
from zo_numpy.files import scratch_folder, short
from zo_numpy.samples import DataError

ARCHIVE = "modelnet40_ply_hdf5_2048.zip"
MIRRORS = (
    "https://shapenet.cs.stanford.edu/media",
    "https://huggingface.co/datasets/Msun/modelnet40/resolve/main",
)
MEMBER = re.compile(r"(?:.*/)?(ply_data_(?:train|test)\d{1,2}\.h5|(?:train|test)_files\.txt|shape_names\.txt)")
MAX_ARCHIVE = 1 << 30       # bytes; it has 435 MB
MAX_MEMBER = 1 << 28        # of one unpacked file; they have up to about 120 MB
MAX_UNPACKED = 1 << 31
MAX_MEMBERS = 100
CHUNK = 1 << 20
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, LookupError,
           OverflowError, UnicodeError)   # what zipfile raises


def obtain(folder, offline, announce):
    """Fetches ModelNet40 into `folder`, which does not hold it. Raises DataError if it cannot be had."""
    mend = (f"put the files of {ARCHIVE} into {short(folder)}, name their folder with --data-dir, or take --data "
            "synthetic-solids")
    if offline:
        raise DataError(f"ModelNet40 is not in {short(folder)}, and nothing is fetched when offline: {mend}")
    alive, silent = mirrors.answering(MIRRORS, ARCHIVE, suffix="")
    tried = [f"{mirrors.host(mirror)}: {why}" for mirror, why in silent.items()]
    for mirror in alive:
        url = f"{mirror}/{ARCHIVE}"
        try:
            announce(f"ModelNet40: fetching {url} (435 MB)")
            install(url, folder, announce)
            return
        except DataError as error:
            tried.append(str(error))
            announce(f"ModelNet40: {error}: trying the next source")
        except OSError as error:
            raise DataError(f"ModelNet40 cannot be kept in {short(folder)} ({error.strerror or error}): make room "
                            "there or name another folder in ZO_NUMPY_DATA") from None
    raise DataError(f"ModelNet40 cannot be had: {'; '.join(tried)}: {mend}")


def install(url, folder, announce):
    """Downloads, unpacks and checks the archive at `url`; only then `folder` appears, whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        archive, unpacked = scratch / ARCHIVE, scratch / "unpacked"
        unpacked.mkdir()
        with open(archive, "wb") as file:
            mirrors.fetch(url, MAX_ARCHIVE, announce, file)
        unpack(archive, unpacked)
        archive.unlink()
        try:
            read_folder("modelnet40", unpacked, 1)
        except DataError as error:
            why = str(error).replace(str(unpacked) + os.sep, "")
            raise DataError(f"{url} holds no sound ModelNet40 ({why})") from None
        if folder.exists():    # without the list of classes, or it would have been read: not a data set
            shutil.move(folder, tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-before-"))
        os.replace(unpacked, folder)


def corrupt(error):
    """The DataError of an archive that zipfile cannot read."""
    return DataError(f"{ARCHIVE} is a corrupt archive ({' '.join(str(error).split())[:100]})")


def chunks(packed, member):
    """Yields the bytes of a member of an open archive, deflated or stored.  Raises DataError if it is damaged."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):   # others can ask for much memory
        raise corrupt(f"it packs {member.filename[-60:]} in an unknown way")
    try:
        with packed.open(member) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except (OSError, *DAMAGED) as error:   # of a place before the archive's start
        raise corrupt(error) from None


def unpack(archive, folder):
    """Writes the files of the layout that a zip archive holds into `folder`, whatever folders it names for them.

    Raises DataError if it is damaged, holds one twice, or more than may be.
    """
    total, written = 0, set()
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                match = MEMBER.fullmatch(member.filename)
                if not match:
                    continue
                if match[1] in written or len(written) >= MAX_MEMBERS:
                    raise DataError(f"{ARCHIVE} holds {match[1]} twice, or too many files")
                written.add(match[1])
                with open(folder / match[1], "xb") as target:
                    size = 0
                    for chunk in chunks(packed, member):
                        size += len(chunk)
                        total += len(chunk)
                        if size > MAX_MEMBER or total > MAX_UNPACKED:
                            raise DataError(f"{ARCHIVE}: {match[1]} is larger than it may be")
                        target.write(chunk)
    except DAMAGED as error:
        raise corrupt(error) from None
    if not written:
        raise DataError(f"{ARCHIVE} holds none of the files of its layout")
