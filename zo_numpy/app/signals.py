"""Ctrl-C and SIGTERM while a run trains."""
import contextlib
import signal


@contextlib.contextmanager
def stop_signals():
    """A list that the first Ctrl-C or SIGTERM puts its number into, asking the run to save and stop after its step.

    The second one does not wait. A signal that is ignored, as in a shell's background jobs, stays ignored.
    """
    stop = []

    def note(number, _):
        if stop:
            raise KeyboardInterrupt
        stop.append(number)

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number, handler in previous.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, note)
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
