"""matplotlib as it comes: pictures look the same whatever the user's settings, screen or notebook are.

matplotlib is imported inside of functions: it takes its time, and few commands draw.
"""
import contextlib
import logging
import os


@contextlib.contextmanager
def own_settings():
    """matplotlib's built-in settings, for the time of a `with` block.

    What the environment would make of them, a matplotlibrc and MPLBACKEND, counts again afterwards. matplotlib's log
    is silent meanwhile: it speaks of font caches and of lines in a matplotlibrc, which have no effect here.
    """
    log = logging.getLogger("matplotlib")
    level, backend = log.level, os.environ.pop("MPLBACKEND", None)   # one that does not exist fails at the import
    log.setLevel(logging.CRITICAL)
    try:
        import matplotlib
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            yield
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


@contextlib.contextmanager
def panels(count, figsize, sharey=False, rows=1):
    """A figure of `count` axes side by side, for the time of a `with` block, in which it must be saved too.

    figsize: (width, height) in inches.  sharey: whether the axes have the same scale.  rows: of `count` axes each.
    Yields (Figure, array of Axes, row by row).
    """
    with own_settings():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        figure = Figure(figsize=figsize, layout="constrained")
        FigureCanvasAgg(figure)   # draws without a screen
        yield figure, figure.subplots(rows, count, sharey=sharey, squeeze=False).reshape(-1)
