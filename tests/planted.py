"""A copy of a package with one piece of text replaced, imported under another name: how tests plant bugs."""
import contextlib
import importlib
import shutil
import sys


@contextlib.contextmanager
def planted(tmp_path, folder, name, file=None, old="", new=""):
    """Copies the package in `folder` as `name`, with `old`, which must be there once, replaced by `new` in `file`.

    Yields (function that imports a module of the copy by its name, path of the changed file).
    """
    shutil.copytree(folder, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / name / (file or "__init__.py")
    if file:
        source = path.read_text()
        assert source.count(old) == 1, f"{old!r} is not once in {file}"
        path.write_text(source.replace(old, new))
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    try:
        yield (lambda module: importlib.import_module(f"{name}.{module}")), path
    finally:
        sys.path.remove(str(tmp_path))
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]
