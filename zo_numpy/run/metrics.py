"""metrics.jsonl of a run's folder, read with distrust."""
from ..errors import UserError, why
from ..files import read_bounded, strict_json
from .config import ADDED, SCHEDULES
from .folder import METRICS

LARGEST_METRICS = 1 << 28   # bytes
LARGEST_NUMBER = 1e15


def read_metrics(folder):
    """The lines of a run's metrics.jsonl, as dicts.  Raises UserError if there are none."""
    path = folder / METRICS
    try:
        lines = [strict_json(line) for line in read_bounded(path, LARGEST_METRICS).splitlines()]
        kind = kind_of(lines[0]) if lines else ""
        for number, line in enumerate(lines, 1):
            _check_line(line, number, kind)
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({why(error)}); resume or repeat the run") from None
    if not lines:
        raise UserError(f"{path} has no finished epoch yet; resume the run")
    return lines


def kind_of(line):
    """What the accuracy in a line of an epoch is of: "validation" or "test"."""
    return "validation" if "validation_accuracy" in line else "test"


def _check_line(line, number, kind):
    """Refuses, as a ValueError, what is no line of an epoch, or one whose numbers contradict each other.

    number: of the epoch, from 1.  kind: test or validation.
    """
    accuracy, correct, total = (f"{kind}_{name}" for name in ("accuracy", "correct", "images"))
    names = {"epoch", "step", "train_loss", "seconds", "images_per_second", accuracy, correct, total}
    schedules = [set(), *(of_precision.keys() - ADDED for of_precision in SCHEDULES.values())]
    if not names <= line.keys() or line.keys() - names - ADDED.keys() not in schedules or \
            any(type(value) not in (int, float) or abs(value) > LARGEST_NUMBER for value in line.values()):
        raise ValueError(f"line {number} is no epoch's")
    if line["epoch"] != number or not 0 <= line[correct] <= line[total] or line["seconds"] < 0 or \
            abs(100 * line[accuracy] - 10_000 * line[correct] // line[total]) > 1e-6:
        raise ValueError(f"the numbers of line {number} contradict each other")
