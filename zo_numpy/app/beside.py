"""What stands beside this package in a clone: datasets/, experiments/, tests/golden/.

Of them an installed package has datasets/ alone, inside of itself (setup.py). Packages are found by their place, never
by their name on sys.path, where others may have the same names.
"""
import importlib
import importlib.machinery
import importlib.util
import pathlib
import sys

from ..errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
IS_CLONE = (ROOT / "setup.cfg").exists()   # installed packages have strangers beside them
CARRIED = pathlib.Path(__file__).resolve().parents[1] / "carried"
GOLDEN = ROOT / "tests" / "golden"


def module_beside(name, what):
    """A module of datasets/ or experiments/, by its dotted name.  what: that needs it, for messages.

    Raises UserError if it is not there, or if a stranger of that name has been imported before.
    """
    package = name.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(package, [str(ROOT if IS_CLONE else CARRIED)])
    if spec is None or not spec.origin:
        raise UserError(f"{what} needs {package}/, which is not beside the zo_numpy package; run from a clone of the "
                        "project: there, `make` makes an environment")
    if package not in sys.modules:
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    if sys.modules[package].__file__ != spec.origin:
        raise UserError(f"{what} needs {spec.origin}, and {sys.modules[package].__file__} is imported under that name "
                        "already; use a process of its own")
    return importlib.import_module(name)
