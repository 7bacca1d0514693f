"""Pictures in folders of classes: PNG, JPEG, BMP and GIF, brought to one size and number of channels."""

from collections import Counter

import numpy as np

from datasets.progress import Progress
from zo_numpy.files import short
from zo_numpy.preparation import GREY_MODES, open_picture, picture_size, prepared


class Pictures:
    """A reader, see datasets/packing. The heads of all files are read at once, the pixels one file after the other."""

    dtype = np.dtype(np.uint8)
    mend = "mend or remove them; --size N resizes all pictures"

    def __init__(self, folders, options, problems, announce):
        self.paths, self.labels, self.classes, self.is_test, _ = folders
        self.problems, self.refused = problems, set()
        heads = self.heads()
        sizes = Counter(size for size, _ in heads.values())
        size = options.size or (sizes.most_common(1)[0][0] if sizes else (0, 0))
        if not options.size and len(sizes) > 1:
            self.refuse_other_sizes(heads, size)
        grey = options.grey or all(mode in GREY_MODES for _, mode in heads.values())
        self.shape = (1 if grey else 3, *size)
        self.preparation = {"size": list(size), "grey": grey, "invert": options.invert}
        resized = sum(count for found, count in sizes.items() if found != size)
        if resized and options.size:
            announce(f"{resized:,} of {len(heads):,} pictures are resized to {size[1]} x {size[0]} pixels")

    def name(self, i):
        return short(self.paths[i])

    def refuse(self, i, why):
        self.refused.add(i)
        self.problems.add(self.name(i), why)

    def heads(self):
        """{number: ((rows, columns), Pillow's mode)} of the files that are pictures."""
        heads, progress = {}, Progress("looking at", "pictures")
        for i, path in enumerate(self.paths):
            try:
                with open_picture(path) as picture:
                    heads[i] = picture_size(picture), picture.mode
            except Exception as error:   # Pillow's own, of many kinds
                self.refuse(i, reason(error))
            progress.show(i + 1, len(self.paths))
        progress.clear()
        return heads

    def refuse_other_sizes(self, heads, size):
        rows, columns = size
        for i, (other, _) in heads.items():
            if other != size:
                self.refuse(i, f"it has {other[1]} x {other[0]} pixels, most have {columns} x {rows}")

    def samples(self):
        for i, path in enumerate(self.paths):
            yield None if i in self.refused else self.pixels(i, path)

    def pixels(self, i, path):
        """(C, H, W) uint8 of a file, or None if it is damaged."""
        try:
            with open_picture(path) as picture:
                return prepared(picture, self.preparation)
        except Exception as error:
            return self.refuse(i, reason(error))


def reason(error):
    """Why a file is no picture, in words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is no picture of these kinds" if type(error).__name__ == "UnidentifiedImageError" else \
        f"damaged: {error}" if str(error) else "damaged"
