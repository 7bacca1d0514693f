"""What a run says while it trains: a moving line with rate and ETA on a terminal, one plain line an epoch elsewhere."""
import time

from ..run.metrics import kind_of

REFRESH_SECONDS = 0.2


def say(text):
    """Prints a line at once, whatever the output is."""
    print(text, flush=True)


def duration(seconds):
    """12.3 -> '12 s', 252 -> '4 min 12 s', 7500 -> '2 h 5 min'."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


class Progress:
    """Reports to `stream`.  batch_size and first_step let it turn steps into rates."""

    def __init__(self, stream, first_step, total_steps, batch_size):
        self.stream, self.first_step, self.total_steps, self.batch_size = stream, first_step, total_steps, batch_size
        self.started = self.shown = time.monotonic()
        self.terminal = stream.isatty()

    def eta(self, step):
        elapsed = time.monotonic() - self.started
        return duration(elapsed / max(1, step - self.first_step) * (self.total_steps - step))

    def step(self, step, epoch):
        """Called after every step; `step` counts those made."""
        now = time.monotonic()
        if not self.terminal or now - self.shown < REFRESH_SECONDS:
            return
        self.shown = now
        rate = (step - self.first_step) * self.batch_size / (now - self.started)
        self.stream.write(f"\r\033[Kepoch {epoch + 1}  step {step:,} of {self.total_steps:,}  "
                          f"{rate:,.0f} images/s  ETA {self.eta(step)}")
        self.stream.flush()

    def epoch(self, record, epochs):
        """Called after every epoch with its line of metrics."""
        kind = kind_of(record)
        line = (f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}  train loss {record['train_loss']}  "
                f"{kind} accuracy {record[kind + '_accuracy']} %  {record['seconds']:.1f} s  "
                f"{record['images_per_second']:,} images/s  ETA {self.eta(record['step'])}")
        self.stream.write(("\r\033[K" if self.terminal else "") + line + "\n")
        self.stream.flush()

    def clear(self):
        """Leaves the terminal's line clean for what is printed next."""
        if self.terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()
