"""Which functions and classes of zo_numpy are private, read from its source.

What other code may call is public: what SPEC.md names, the ops of the golden vectors, a training step, what precision.py
has for trainers, a command of the command line, and what another module of the repository uses. All else begins with
an underscore, may be renamed at any time, and is named by no test.
"""
import ast
import collections
import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT_IN = {"main", "train_step"}
# What a user calls from Python, though nothing in this repository does but its tests.
ENTRY_POINTS = {
    "load_own_data",                                             # a user's own data as a Dataset
    "generator", "z_of", "box_muller",                           # random words, and z of given ones
    "inference",                                                 # what a forward pass alone holds
    "load_vectors", "check_file", "check_ops",                   # op vectors, checked from Python
    "make_trace", "make_run", "check_run", "run_config", "config_of", "differences_of",   # and traces and runs
    "Recorder", "record_steps", "key_of", "reference_array", "first_beyond",              # what a trace is made of
    "update_table", "sum_of_steps",                              # what replay makes of a log
    "Numbers", "config_from_json", "to_fp32", "to_int8", "json_line", "png_chunks", "called", "written",
    "line_through", "tiled_matmul",                              # what the benchmark reports
    "own_settings",                                              # drawing with the environment shut out
    "hidden_name",                                               # a seam: how files are written
}


@functools.lru_cache   # asked for each file of the package
def should_be_private(root=ROOT):
    """[(path, name)] of what lacks the underscore that it should have."""
    trees = {path: ast.parse(path.read_text()) for part in ("zo_numpy", "datasets", "experiments")
             for path in sorted((root / part).rglob("*.py"))}
    users = collections.defaultdict(set)   # name -> files in which it stands as something of another module
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for name in names_of_others(node):
                users[name].add(path)
    spec = set(re.findall(r"\w+", (root / "zo_numpy/int8/SPEC.md").read_text()))
    public = BUILT_IN | ENTRY_POINTS | spec | {path.stem for path in (root / "tests/golden/ops").glob("*.json")}
    return [(path, name) for path, name in defined(root) if not name.startswith("_") and name not in public
            and not users[name] - {path} and path.stem not in ("precision", "commands")]


def names_of_others(node):
    """The names that a node takes from elsewhere: imported, or attributes of something."""
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    return [node.attr] if isinstance(node, ast.Attribute) else []


def defined(root=ROOT):
    """(path, name) of the functions and classes that stand at the top level of zo_numpy's modules."""
    for path in sorted((root / "zo_numpy").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield path, node.name


def private_names(root=ROOT):
    """The names of zo_numpy's private functions and classes."""
    return {name for _, name in defined(root) if name.startswith("_") and not name.startswith("__")}


def named_in(path):
    """(line, name) of every identifier and every word of a string, but a docstring, in a file of tests."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                  if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from ((node.lineno, word) for word in re.findall(r"\w+", node.value))
        else:
            yield from ((node.lineno, name) for name in names_of_others(node))
