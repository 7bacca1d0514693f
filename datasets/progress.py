"""A line on a terminal that shows how far something is that takes its time; nothing where there is no terminal."""

import sys
import time

SHOW_SECONDS = 0.2          # between two updates of the line
WIDTH = 79


class Progress:
    """How far one thing is, its rate and the time left. What is counted are bytes, shown as MB, or pieces, a `unit`."""

    def __init__(self, label, unit="MB"):
        self.label, self.unit = label, unit
        self.start = self.shown = time.monotonic()

    def show(self, done, total):
        """Draw the line for `done` of `total` (0: unknown); not at every call."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self.shown < SHOW_SECONDS:
            return
        self.shown = now
        rate = done / (now - self.start)
        of = f" of {self.amount(total)} {self.unit} ({100 * done // total} %)" if total else f" {self.unit}"
        left = f", {max(0, total - done) / rate:.0f} s left" if total and rate else ""
        line = f"  {self.label}: {self.amount(done)}{of}, {self.amount(rate)} {self.unit}/s{left}"
        print("\r" + line[:WIDTH].ljust(WIDTH), end="", file=sys.stderr, flush=True)

    def amount(self, count):
        """A number of bytes or pieces in words, without the unit."""
        return f"{count / 1e6:.1f}" if self.unit == "MB" else f"{count:,.0f}"

    def clear(self):
        """Empty the line, if it was drawn, for whatever is printed next."""
        if self.shown != self.start:
            print("\r" + " " * WIDTH + "\r", end="", file=sys.stderr, flush=True)
