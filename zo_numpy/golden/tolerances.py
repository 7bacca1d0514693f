"""How near an FP32 vector has to be: BLAS and libm differ between machines in the last bits. INT8 has no tolerance.

An error is measured against the largest magnitude of the expected tensor, as single elements of a sum may cancel to
anything. Integers, shapes and names are exact. What is not finite agrees with nothing.

The numbers are about six times the largest deviation of float32 from the same steps made in float64, over LeNet-5 and
its narrow form, K = 0..3 and three seeds: of z 4.1e-7, of all that follows 1.7e-6, of a loss 9.1e-7; and three to four
times that of the narrow PointNet, whose batch norm divides by what may be small: 2.5e-6, of a loss 1.5e-6. A float32
result of any order of operations is about as far from float64 as ours. `tests/test_golden_fp32.py` makes the float64
steps.
"""
import numpy as np

from ..errors import UserError, why

DRAWN = 2.5e-7       # of initial weights and the network's input, which are one rounding from their integers
NORMAL = 2e-6        # of z, or of 1 where all of a tensor's z are smaller
COMPUTED = 1e-5      # of every other tensor
LOSS = 5e-6          # of a loss, or of 1; and through it of g, which is a difference of losses over 2 eps
RUN = 1e-3           # of a loss of a whole run, or of 1: over many steps some ReLU is so near zero that last bits
                     # decide its mask, which moves later losses by some 3e-5
RIGHT = 0.005        # of the samples reported on: how many more or fewer a run may classify right
LARGEST_Z = 6        # Box-Muller's z is below it
SUMMARY = ("largest", "norm", "sample")
PLACES = 8           # in a sample


def short(number):
    """A number with the nine digits that tell float32 numbers apart."""
    return float(f"{number:.9g}")


def summary(array):
    """What stands for a float array that has no file: {"largest": the largest magnitude, "norm": the square root of the
    sum of squares, "sample": eight elements, evenly spaced in C order from the first to the last, or all of fewer}.
    """
    flat = array.reshape(-1).astype(np.float64)
    last = flat.size - 1
    places = [i * last // (PLACES - 1) for i in range(PLACES)] if last >= PLACES else range(flat.size)
    return {"largest": short(np.abs(flat).max(initial=0)), "norm": short(np.sqrt((flat**2).sum())),
            "sample": [short(flat[i]) for i in places]}


def _as_floats(values):
    """A number or list of numbers as float64; infinite where one is too large for it."""
    try:
        return np.array(values, np.float64)
    except OverflowError:
        return np.full(np.shape(values), np.inf)


def first_beyond(expected, got, allowed):
    """Where an array is first farther than `allowed` from what is expected, in words; None if nowhere.

    What is not finite comes first. Both arrays are of one shape.
    """
    expected, got = _as_floats(expected), _as_floats(got)
    finite = np.isfinite(got)
    error = np.abs(np.where(finite, got, 0) - expected)
    wrong = np.flatnonzero(~finite) if not finite.all() else np.flatnonzero(~(error <= allowed))
    if not wrong.size:
        return None
    index = tuple(int(i) for i in np.unravel_index(wrong[0], expected.shape))
    what = f"{'index ' + str(index) + ': ' if index else ''}expected {short(expected[index])}, got {short(got[index])}"
    if not finite.all():
        return f"{what}, which is not finite; {wrong.size:,} of {expected.size:,} values are not"
    return (f"{what}, {error[index]:.3g} apart where {allowed:.3g} is allowed; {wrong.size:,} of {expected.size:,} "
            "values are beyond it")


class Tolerances:
    """The tolerances of one configuration; those of g and of updated weights depend on eps and eta."""

    def __init__(self, schedules):
        self.eps, self.least_eps = max(schedules["eps"]), min(schedules["eps"])
        self.g = LOSS / self.least_eps
        self.moved = LARGEST_Z * max(schedules["eta"]) * self.g   # what an error of g does to a weight

    def allowed(self, record, largest):
        """The largest error of a record's values.  largest: the expected tensor's largest magnitude."""
        match record["op"]:
            case "images":   # clouds, decoded before any step: they arise alike on every machine
                return 0.0
            case "perturbation":
                return NORMAL * max(largest, 1)
            case "input":
                return DRAWN * largest
            case "weights" if record["phase"] == "init":
                return DRAWN * largest
            case "weights":   # rounded at the size of eps z, which was added and taken back
                return COMPUTED * max(largest, 8 * self.eps) + self.moved
            case "loss":
                return LOSS * max(largest, 1)
            case "clip":
                return self.g
        return COMPUTED * largest

    def array(self, record, expected, got):
        """What is wrong with an array, in words; None if nothing."""
        return first_beyond(expected, got, self.allowed(record, np.abs(expected).max(initial=0)))

    def value(self, record, got):
        """What is wrong with the number or list of numbers of a record, in words; None if nothing."""
        expected = record["value"]
        if np.shape(got) != np.shape(expected):
            return f"value: expected {expected}, got {str(got)[:80]}"
        found = first_beyond(expected, got, self.allowed(record, np.abs(_as_floats(expected)).max()))
        return found and f"value: {found}"

    def summary(self, record, expected, got):
        """What is wrong with the summary of an array, in words; None if nothing.  Both: {} but for SUMMARY."""
        allowed, size = self.allowed(record, expected["largest"]), np.prod(record["shape"])
        for name, error in (("largest", allowed), ("norm", allowed * np.sqrt(size)), ("sample", allowed)):
            if np.shape(got[name]) != np.shape(expected[name]):
                return f"{name}: expected {expected[name]}, got {str(got[name])[:80]}"
            found = first_beyond(expected[name], got[name], error)
            if found:
                return f"{name}: {found}"
        return None

    def line(self, expected, got):
        """Whether a line of a run agrees: `step L+ L- g` of its log or `epoch right total` of its evaluations."""
        expected, got = expected.split(" "), got.split(" ")
        if len(expected) != len(got) or expected[0] != got[0]:
            return False
        try:
            if len(got) == 3:
                return expected[2] == got[2] and abs(int(expected[1]) - int(got[1])) <= RIGHT * int(got[2])
            return all(self.near(*pair, allowed)
                       for *pair, allowed in zip(expected[1:], got[1:], (RUN, RUN, RUN / self.least_eps), strict=True))
        except ValueError:   # it is no such line
            return False

    @staticmethod
    def near(expected, got, allowed):
        """Whether numbers in text, with commas between, are within `allowed`, or as much of each beyond 1."""
        expected, got = ([float(part) for part in text.split(",")] for text in (expected, got))
        return len(expected) == len(got) and not any(first_beyond(one, other, allowed * max(1, abs(one)))
                                                     for one, other in zip(expected, got))

    def __str__(self):
        return (f"FP32, floats within tolerances, as shares of a tensor's largest magnitude: {DRAWN:g} of initial "
                f"weights and input, {NORMAL:g} of z (at least of 1), {COMPUTED:g} of all other tensors (of weights at "
                f"least of 8 eps, and {self.moved:.2g} more), {LOSS:g} of a loss (at least of 1), {self.g:.2g} for g; "
                "integers and shapes exact")


def tolerances_of(manifest, name):
    """The Tolerances of a trace, from its manifest; None of INT8, which has none.

    Raises UserError if it is of FP32 without what they depend on.  name: the file's.
    """
    try:
        config = manifest.get("config", {})
        return Tolerances(config["schedules"]) if config.get("precision") == "fp32" else None
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"{name} is not the manifest of a trace (its config: {why(error)}); export "
                        "it again") from None
