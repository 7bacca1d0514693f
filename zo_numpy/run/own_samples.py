"""The samples of a user's file as a network takes them: images as bytes with the channels first, clouds as float32."""

import numpy as np

from ..clouds import RADIUS, chosen
from ..mapped import chunks
from ..samples import DataError, some

CHANNELS = (1, 2, 3, 4)
SMALLEST_SIDE, LARGEST_SIDE = 5, 4096   # of an image; a smaller axis is its channels
LAYOUTS = "images are (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 to 4, clouds floats (N, P, 3)"


def is_clouds(array):
    return array.ndim == 3 and array.shape[2] == 3 and array.dtype.kind == "f"


def sizes(array, first=1):
    """An array's sizes in words, those of a sample or all of them."""
    return " x ".join(map(str, array.shape[first:])) or "a number"


def channels_first(array, where):
    """Images as (N, C, H, W), a view.  Raises DataError if they are none."""
    given = array
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in CHANNELS or array.dtype.kind not in "biuf" or not all(
            SMALLEST_SIDE <= side <= LARGEST_SIDE for side in array.shape[2:]):
        raise DataError(f"{where} holds {array.dtype} of the shape {sizes(given, 0)}: {LAYOUTS}, sides from "
                        f"{SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    return array


def as_bytes(parts, where, announce):
    """Images of both parts as uint8, converted if they are something else, which is announced.  Raises DataError."""
    floats = [_largest(array, name) for array, name in zip(parts, where) if array.dtype.kind == "f"]
    scales = {"b": 255, "f": 255 if max(floats, default=0) <= 1 else 1, "i": 1, "u": 1}
    return [array if array.dtype == np.uint8 else _converted(array, scales[array.dtype.kind], name, announce)
            for array, name in zip(parts, where)]


def _largest(array, where):
    """The largest value of an array.  Raises DataError naming rows that hold NaN or an infinity."""
    _check_rows(array, where, lambda part: ~np.isfinite(part).all(axis=(1, 2, 3)), "hold NaN or an infinity")
    return max((float(array[part].max()) for part in chunks(array)), default=0.0)


def _check_rows(array, where, wrong, problem):
    """Raises DataError naming the rows that are `wrong`, a function of some rows that returns (n,) bool."""
    rows = [part.start + row for part in chunks(array) for row in np.flatnonzero(wrong(array[part])).tolist()]
    if rows:
        raise DataError(f"{where}: {len(rows):,} of {len(array):,} samples {problem}: row {some(rows)}: mend or remove "
                        "them")


def _converted(array, scale, where, announce):
    """Images of another type as uint8, times `scale`."""
    def wrong(part):
        whole = np.floor(part) == part if scale == 1 else True
        return ~((part >= 0) & (part <= 255 // scale) & whole).all(axis=(1, 2, 3))

    _check_rows(array, where, wrong, "hold values that are neither bytes 0 to 255 nor floats 0 to 1")
    out = np.empty(array.shape, np.uint8)
    for part in chunks(array):
        out[part] = np.rint(array[part] * float(scale))
    how = "times 255, rounded" if scale == 255 else "as they are"
    announce(f"{where} holds {array.dtype}: converted to bytes, {how}")
    return out


def as_clouds(array, where, points):
    """Clouds as (N, points, 3) float32; 0 points: all.  Raises DataError naming rows."""
    if not is_clouds(array):
        raise DataError(f"{where} holds {array.dtype} of the shape {sizes(array, 0)} where clouds are expected: "
                        f"{LAYOUTS}")
    count = array.shape[1]
    if not 1 <= count or points > count:
        raise DataError(f"{where} has {count} points a cloud: ask for at most that many, with --points {count}")
    if array.dtype != np.float32 or points not in (0, count):
        indices = chosen(count, points or count)
        out = np.empty((len(array), len(indices), 3), np.float32)
        with np.errstate(over="ignore"):   # to an infinity, which is refused
            for part in chunks(array):
                out[part] = array[part][:, indices]
        array = out
    _check_rows(array, where, lambda part: ~np.isfinite(part).all(axis=(1, 2)), "hold NaN or an infinity")
    _check_rows(array, where, lambda part: _reach(part) > RADIUS, "reach out of the unit sphere (python -m datasets.pack "
                                                                 "--scale centres and scales clouds)")
    _check_rows(array, where, lambda part: _reach(part) == 0, "have all their points in the origin")
    return array


def _reach(clouds):
    """How far each cloud reaches from the origin.  (N, P, 3) -> (N,) float64."""
    return np.sqrt(np.square(clouds.astype(np.float64)).sum(axis=2).max(axis=1))
