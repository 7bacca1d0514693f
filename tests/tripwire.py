"""Finds floats where only integers may be: in running code by watched arrays, in source by its syntax tree.

    with watching(package_modules("zo_numpy")):     # every array made or touched in these modules is watched
        ...
    float_sites(source, "loss.py")                  # ["loss.py:7: float literal", ...]

A watched array lets an operation through only if no float or complex number goes in, comes out, or is what it
computes in. Arrays made inside the modules are watched because their name `np` is replaced by a stand-in; it
also knows the functions that use floats inside, whatever they return. What neither can see, arithmetic of
Python's own numbers, the syntax tree shows.

`FloatFound` names file, line and source text. Operations outside zo_numpy, as a test's own, are let through.
"""
import ast
import builtins
import contextlib
import importlib
import linecache
import pkgutil
import sys
import types

import numpy as np

# What is float by name, even where it returns integers (np.linspace(0, 9, 10, dtype=int)).
FLOAT_NAMES = frozenset("""
    float16 float32 float64 float96 float128 float_ half single double longdouble floating inexact
    complex64 complex128 complex192 complex256 complex_ csingle cdouble clongdouble complexfloating
    mean average median nanmean nanmedian std var nanstd nanvar quantile percentile nanquantile nanpercentile
    cov corrcoef histogram interp gradient trapezoid trapz convolve correlate polyfit polyval
    linspace logspace geomspace hanning hamming blackman kaiser bartlett
    sqrt cbrt exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 power pow float_power
    divide true_divide reciprocal sin cos tan arcsin arccos arctan arctan2 asin acos atan atan2
    sinh cosh tanh arcsinh arccosh arctanh hypot sinc deg2rad rad2deg degrees radians
    round around rint fix floor ceil trunc modf frexp ldexp
    spacing nextafter finfo nan inf pi e euler_gamma NaN Inf linalg fft
""".split())
FLOAT_BUILTINS = ("float", "complex", "round")
FLOAT_MODULES = {"math", "cmath", "statistics", "random", "time", "datetime"}
RANDOM_ALLOWED = "Philox"            # of np.random: its raw stream is integers


class FloatFound(AssertionError):
    """A float where only integers may be; the message names the line."""


def zo_numpy_frame():
    """The innermost frame of zo_numpy (or of a copy whose name begins like it), or None."""
    frame = sys._getframe(1)
    while frame and not frame.f_globals.get("__name__", "").startswith("zo_numpy"):
        frame = frame.f_back
    return frame


def fail(what):
    frame = zo_numpy_frame()
    if frame:
        path, line = frame.f_code.co_filename, frame.f_lineno
        raise FloatFound(f"{path}:{line}: {linecache.getline(path, line).strip()}  [{what}]")


def check(value, what):
    """Fails if there is a float in a scalar, array, dtype, type, or in a tuple, list or dict of these.

    An array of Python objects fails too: nobody watches those.
    """
    if isinstance(value, (tuple, list)):
        for part in value:
            check(part, what)
    elif isinstance(value, dict):
        for part in value.values():
            check(part, what)
    elif isinstance(value, type):
        if issubclass(value, (float, complex, np.inexact)):
            fail(f"{value.__name__} in {what}")
    elif isinstance(value, (float, complex)):
        fail(f"{value!r} in {what}")
    elif getattr(getattr(value, "dtype", value), "kind", "i") in "fcO":
        fail(f"{getattr(value, 'dtype', value)} in {what}")


def mapped(function, value):
    """function(array) for every array in a tuple, list or dict of anything."""
    if isinstance(value, dict):
        return {name: mapped(function, part) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(mapped(function, part) for part in value)
    return function(value) if isinstance(value, (np.ndarray, np.generic)) else value


def watched(value):
    """Arrays as Watched, NumPy scalars as Watched arrays without axes: nothing escapes as a scalar."""
    return mapped(lambda array: np.asarray(array).view(Watched), value)


def unwatched(value):
    return mapped(lambda array: array.view(np.ndarray) if isinstance(array, Watched) else array, value)


def check_loop(ufunc, inputs, out):
    """Fails if the ufunc computes in floats, as true_divide does even into an integer `out`."""
    kinds = [type(x) if type(x) is int else np.asarray(x).dtype for x in inputs]
    outs = [o.dtype if o is not None else None for o in out or [None] * ufunc.nout]
    with contextlib.suppress(TypeError):                          # no such loop: the operation will say so
        check(ufunc.resolve_dtypes((*kinds, *outs), casting="unsafe"), f"the loop of {ufunc.__name__}")


class Watched(np.ndarray):
    seen = set()                     # "module.function" of every zo_numpy function whose arrays were watched

    def __array_finalize__(self, parent):
        check(self.dtype, "a new array")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        what = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        frame = zo_numpy_frame()
        if frame:
            Watched.seen.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_name}")
        check((inputs, out, kwargs), f"the arguments of {what}")
        if method == "__call__":
            check_loop(ufunc, inputs, out)
        if out is not None:
            kwargs["out"] = unwatched(out)
        result = getattr(ufunc, method)(*unwatched(inputs), **unwatched(kwargs))
        check(result, f"the result of {what}")
        if out is not None and out[0] is not None:
            return out[0] if len(out) == 1 else out
        return watched(result)

    def __array_function__(self, function, types_, args, kwargs):
        what = function.__name__
        check((args, kwargs), f"the arguments of {what}")
        result = super().__array_function__(function, types_, args, kwargs)
        check(result, f"the result of {what}")
        return watched(result)

    def view(self, *args, **kwargs):
        result = super().view(*args, **kwargs)
        check(result, "a view")
        return result

    def __getitem__(self, key):
        return watched(super().__getitem__(key))

    def __setitem__(self, key, value):
        check(value, "an assignment")
        super().__setitem__(key, value)


class StandIn:
    """Stands in for `np`, or a module or function of it: what is made through it is watched."""

    def __init__(self, target, path):
        vars(self).update(_target=target, _path=path)

    def __setattr__(self, name, value):
        check(value, f"{self._path}.{name}")
        setattr(self._target, name, value)

    def __getattr__(self, name):
        path = f"{self._path}.{name}"
        if name in FLOAT_NAMES or self._target is np.random and name != RANDOM_ALLOWED:
            fail(path)
        value = getattr(self._target, name)
        check(value, path)
        if isinstance(value, type) and not hasattr(value, "random_raw"):
            return value                                          # a dtype, np.ndarray
        return StandIn(value, path) if callable(value) or isinstance(value, types.ModuleType) else value

    def __call__(self, *args, **kwargs):
        check((args, kwargs), f"the arguments of {self._path}")
        result = self._target(*args, **kwargs)
        check(result, f"the result of {self._path}")
        return StandIn(result, self._path) if hasattr(result, "random_raw") else watched(result)


def refused(name):
    """What replaces a built-in function or type: it fails when called, and where it is given as a dtype."""
    def call(*args, **kwargs):
        fail(f"{name}()")

    kind = getattr(builtins, name)
    return type(name, (kind,), {"__new__": call}) if isinstance(kind, type) else call


def package_modules(package):
    """The modules that compute in integers: rng, shapes, tiles and int8."""
    inner = importlib.import_module(f"{package}.int8")
    names = [f"{package}.int8.{module.name}" for module in pkgutil.iter_modules(inner.__path__)]
    return [importlib.import_module(name)
            for name in (*(f"{package}.{name}" for name in ("rng", "shapes", "tiles")), *names)]


@contextlib.contextmanager
def watching(modules):
    """Watches every array of `modules`; yields the set of the functions seen at work."""
    def forget_cached():
        for module in modules:
            for value in vars(module).values():
                getattr(value, "cache_clear", int)()              # a cached array would be an unwatched one

    before = [(module, dict(vars(module))) for module in modules]
    forget_cached()
    Watched.seen = set()
    try:
        for module in modules:
            if hasattr(module, "np"):
                module.np = StandIn(np, "np")
            for name in FLOAT_BUILTINS:
                setattr(module, name, refused(name))
        yield Watched.seen
    finally:
        for module, names in before:
            for name in set(vars(module)) - set(names):
                delattr(module, name)
            vars(module).update(names)
        forget_cached()


class Sites(ast.NodeVisitor):
    """Collects (line, reason) of whatever is or makes a float in a syntax tree."""

    def __init__(self):
        self.found = []

    def note(self, node, reason):
        self.found.append((node.lineno, reason))

    def visit_Constant(self, node):
        if isinstance(node.value, (float, complex)):
            self.note(node, f"float literal {node.value!r}")

    def operation(self, node, operator, right):
        if isinstance(operator, ast.Div):
            self.note(node, "true division")
        if isinstance(operator, ast.Pow) and type(getattr(right, "value", None)) is not int:
            self.note(node, f"** with {ast.unparse(right)}, which could be negative: {ast.unparse(node)}")
        self.generic_visit(node)

    def visit_BinOp(self, node):
        self.operation(node, node.op, node.right)

    def visit_AugAssign(self, node):
        self.operation(node, node.op, node.value)

    def visit_Name(self, node):
        if node.id in FLOAT_BUILTINS or node.id == "pow":
            self.note(node, f"{node.id}")

    def visit_Import(self, node):
        for name in node.names:
            top = name.name.split(".")[0]
            known = (name.name, name.asname) == ("numpy", "np")    # under another name it would not be seen
            if top in FLOAT_MODULES or top in ("numpy", "scipy") and not known:
                self.note(node, f"import of {name.name}")

    def visit_ImportFrom(self, node):
        top = (node.module or "").split(".")[0]
        if node.level == 0 and top in FLOAT_MODULES | {"numpy", "scipy"}:
            self.note(node, f"import from {node.module}")

    def visit_Attribute(self, node):
        path = ast.unparse(node)
        if path.startswith("np.") and node.attr in FLOAT_NAMES or node.attr in ("mean", "std", "var"):
            self.note(node, path)
        if ast.unparse(node.value) == "np.random" and node.attr != RANDOM_ALLOWED:
            self.note(node, path)
        self.generic_visit(node)

    def visit_Call(self, node):
        keywords = {keyword.arg for keyword in node.keywords}
        for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                with contextlib.suppress(TypeError, ValueError, SyntaxError):
                    if np.dtype(value.value).kind in "fc":
                        self.note(node, f"dtype {value.value!r}")
        if ast.unparse(node.func) in ("np.zeros", "np.ones", "np.empty", "np.eye", "np.identity"):
            if len(node.args) < 2 and "dtype" not in keywords:
                self.note(node, f"{ast.unparse(node.func)} without a dtype makes float64")
        self.generic_visit(node)


def float_sites(source, name):
    """"name:line: reason" of whatever is or makes a float in Python source, in order of lines."""
    sites = Sites()
    sites.visit(ast.parse(source))
    return [f"{name}:{line}: {reason}" for line, reason in sorted(sites.found)]
