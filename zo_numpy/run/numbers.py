"""What values a number among the options may take."""
from typing import NamedTuple


class Numbers(NamedTuple):
    """The values a number may take: one of `values`, or between `lowest` and `highest`; `kind` is int or float."""
    kind: type
    text: str             # what they are, for a message: "choose ..."
    values: object = ()   # a tuple, or a range
    lowest: float = 0
    highest: float = 0

    def allows(self, value):
        """Whether a value of whatever type is one of them; an int stands for a float, True and False for no number."""
        if self.kind is float and type(value) is int:
            value = float(value)
        return type(value) is self.kind and (value in self.values if self.values
                                             else self.lowest <= value <= self.highest)


def whole(lowest, highest):
    """Numbers of an int option."""
    return Numbers(int, f"a whole number from {lowest} to {highest}", range(lowest, highest + 1))


def positive(highest):
    """Numbers of a float option, which float32 must hold."""
    return Numbers(float, f"a number from 1e-12 to {highest:g}", lowest=1e-12, highest=highest)
