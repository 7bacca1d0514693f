"""The house: imports go down its floors or sideways without a circle, none is hidden in a string, and int8/ and fp32/
are twins. All is read from the source, imports within functions too."""
import ast
import shutil

import pytest

from private_names import should_be_private
from small_runs import ROOT

FOLDERS = ("zo_numpy", "datasets", "experiments")
# From the ground up. A module stands on the floor of the longest name that begins its own.
FLOORS = (("zo_numpy",), ("zo_numpy.int8", "zo_numpy.fp32", "datasets"), ("zo_numpy.run",),
          ("zo_numpy.golden", "zo_numpy.measure"), ("zo_numpy.app",), ("zo_numpy.__main__", "experiments"))
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
MAY_LOOK_FOR_MODULES = ("zo_numpy.app.", "zo_numpy.__main__", "experiments.")


def sources(root):
    """{module's name: its syntax tree}; a package's own name is that of its __init__.py."""
    paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"):
            ast.parse(path.read_text()) for path in paths}


def imports(root):
    """{module: the modules it imports}, of ours alone."""
    trees = sources(root)
    packages = {name.rpartition(".")[0] for name in trees} | set(FOLDERS)
    found = {}
    for module, tree in trees.items():
        inside = (module if module in packages else module.rpartition(".")[0]).split(".")
        found[module] = set()
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = inside[:len(inside) + 1 - node.level] if node.level else []
                base = ".".join([*above, node.module] if node.module else above)
                names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in trees else base for alias in node.names]
            found[module] |= {name for name in names if name in trees}
    return found


def place(module):
    """The name in FLOORS that a module has its floor from."""
    return max((name for name in FLOOR_OF if f"{module}.".startswith(f"{name}.")), key=len)


def upward(root):
    """The imports that go up, or sideways into another folder, or from the package to what stands beside it."""
    pairs = [(module, other) for module, others in imports(root).items() for other in sorted(others)]
    return [f"{module} imports {other}" for module, other in pairs
            if (here := place(module)) != (there := place(other))
            and (FLOOR_OF[there] >= FLOOR_OF[here] or there == "datasets" and here != "experiments")]


def circles(root):
    """The modules that import one another round about."""
    left = imports(root)
    while leaves := [module for module, others in left.items() if not others & left.keys()]:
        for module in leaves:
            del left[module]
    while roots := left.keys() - {other for others in left.values() for other in others}:
        for module in roots:
            del left[module]
    return sorted(left)


def hidden(root):
    """The modules that may not look for others by name and do."""
    found = []
    for module, tree in sources(root).items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [node.id] if isinstance(node, ast.Name) else []
            names += [node.attr] if isinstance(node, ast.Attribute) else []
            if {name.partition(".")[0] for name in names} & {"importlib", "import_module", "__import__", "runpy"} and \
                    not f"{module}.".startswith(MAY_LOOK_FOR_MODULES):
                found.append(f"{module}, line {node.lineno}")
    return sorted(set(found))


@pytest.mark.parametrize("rule", [upward, circles, hidden])
def test_the_house(rule):
    assert len(sources(ROOT)) > 100 and sum(map(len, imports(ROOT).values())) > 400
    assert rule(ROOT) == []


@pytest.fixture
def copy(tmp_path):
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder,
                        ignore=lambda at, names: {name for name in names if "." in name and not name.endswith(".py")})
    return tmp_path


@pytest.mark.parametrize("rule, file, line, found", [
    (upward, "zo_numpy/run/steps.py", "from ..app import data", "zo_numpy.run.steps imports zo_numpy.app.data"),
    (upward, "zo_numpy/rng.py", "def f():\n    from .int8 import arith", "zo_numpy.rng imports zo_numpy.int8.arith"),
    (upward, "zo_numpy/int8/tail.py", "import zo_numpy.fp32.tail", "zo_numpy.int8.tail imports zo_numpy.fp32.tail"),
    (upward, "zo_numpy/golden/diff.py", "from ..measure import peak",
     "zo_numpy.golden.diff imports zo_numpy.measure.peak"),
    (upward, "zo_numpy/app/data.py", "import datasets", "zo_numpy.app.data imports datasets"),
    (upward, "datasets/idx.py", "from zo_numpy.run.folder import STEPS", "datasets.idx imports zo_numpy.run.folder"),
    (circles, "zo_numpy/models.py", "from . import tiles", "zo_numpy.tiles"),
    (circles, "datasets/idx.py", "def f():\n    from datasets.image_set import FILES", "datasets.image_set"),
    (hidden, "zo_numpy/measure/bench.py", "import importlib.util as other", "zo_numpy.measure.bench, line {}"),
    (hidden, "zo_numpy/run/trainer.py", "from importlib import import_module as f", "zo_numpy.run.trainer, line {}"),
    (hidden, "datasets/download.py", "__import__('experiments')", "datasets.download, line {}")])
def test_what_is_planted_is_seen(copy, rule, file, line, found):
    source = (copy / file).read_text()
    (copy / file).write_text(f"{source}\n\n{line}\n")
    assert found.format(len(source.splitlines()) + 3) in rule(copy)


# What the twins may differ in, {reason: names}; where both have a name, their parameters differ.
DIFFERENCES = {
    "a weight has a bias": "layers.conv2d layers.linear layers.parameters",
    "there is batch norm": """
        layers.forward layers.forward_block tiled.forward tiled.forward_block tiled.forward_pooled
        tiled.normalised_layer points.Statistics
        points.batch_norm points.batch_statistics points.evaluation_scale points.running points.scale_and_shift
        points.update_running""",
    "a pass asks settings for its loss, or for nothing and may diverge": "elastic_zo.forward_pass variants.frozen_step",
    "z has a size and a share of zeros, or is normal": """
        draws.perturbation draws.perturbation_in_turn draws.perturbation_table draws.z_of draws.box_muller""",
    "initial weights have headroom": "draws.init_weights draws.uniform_int8",
    "g is a sign, or is clipped": "elastic_zo.zo_gradient",
    "a step is of so many bits, or has a rate": """
        elastic_zo.zo_shift elastic_zo.add_z tail.gradient_step tail.tail_steps tiled.tail_steps tiled.train_tail
        tail.own_shift tail.running_shift tail.running_step tail.first_scales tail.steps_of_gradients""",
    "ZO's weights keep away from the end of int8": "precision.clip_for_zo",
    "a loss without floats has parts, and another form": """
        loss.base2_logits loss.exp2_terms loss.log2_sum loss.horner loss.coarse_cross_entropy loss.loss_named
        loss.log_softmax""",
    "inputs have an exponent, and are integers": "points.from_points layers.from_pixels layers.check_samples",
    "a block is requantised by the maximum of its batch": "tiled.sums tiled.keep tiled.finish tiled.result",
    "a step waits for the largest of its whole gradient": "tiled.formed_once tiled.piece_bytes",
}


def public(path):
    """{name: its parameters} of the public functions of a module; of classes, nothing but their names."""
    inner = {name for where, name in should_be_private() if where == path}
    return {node.name: ast.unparse(node.args) if isinstance(node, ast.FunctionDef) else ""
            for node in ast.parse(path.read_text()).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and not node.name.startswith("_") and node.name not in inner}


def test_the_precisions_are_twins():
    int8, fp32 = ROOT / "zo_numpy" / "int8", ROOT / "zo_numpy" / "fp32"
    files = [{path.stem for path in folder.glob("*.py")} for folder in (int8, fp32)]
    assert files[0] ^ files[1] == {"arith"}   # the one file that floats do not need
    different = set()
    for file in files[1]:
        one, other = public(int8 / f"{file}.py"), public(fp32 / f"{file}.py")
        different |= {f"{file}.{name}" for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    assert different == set(" ".join(DIFFERENCES.values()).split())
