"""Integers only, from the first step to the last: steps of every method under the tripwire, and the source.

The tripwire itself is tried with floats planted in a copy of the package: each is found, and its line named.
"""
import functools
import importlib
import pathlib

import numpy as np
import pytest

import zo_numpy
from experiments import float_loss
from planted import planted
from tripwire import FloatFound, Watched, float_sites, package_modules, watching
from zo_numpy.int8.elastic_zo import Settings

PACKAGE = pathlib.Path(zo_numpy.__file__).parent
INTEGER_FILES = sorted([*(PACKAGE / "int8").glob("*.py"),
                        *(PACKAGE / name for name in ("rng.py", "shapes.py", "tiles.py"))])
NEVER_NEGATIVE = {"4 ** k"}          # powers whose exponent counts up from 0
SETTINGS = Settings(r_max=15, p_zero=64, b_zo=2, b_bp=4, r_limit=31)
METHODS = [   # K, changes of the settings, the variant
    *((bp_tail, {}, {}) for bp_tail in range(4)), *((bp_tail, {"loss": "coarse"}, {}) for bp_tail in (0, 2)),
    *((bp_tail, {}, {"frozen": True}) for bp_tail in (1, 2, 3)),
    (1, {}, {"tail_passes": "both"}), (3, {}, {"tail_passes": "both"}), (0, {}, {"queries": 2})]
RUNNING = [   # the same, with a running scale of the tail's steps
    *((bp_tail, {"b_bp": 0}, {}) for bp_tail in (1, 2, 3)), (2, {}, {"frozen": True}), (2, {}, {"tail_passes": "both"})]


def original(module):
    return importlib.import_module(f"zo_numpy.{module}")


def train(module, bp_tail, settings, variant={}, kind=np.ndarray, steps=2, record=None, running=False):
    """(log, final weights, logits) of a short run of LeNet-5 whose arrays are all of `kind` to begin with.

    module: gives a module of zo_numpy, or of a copy, by its name.  running: the scale of the tail's steps.
    """
    lenet5, elastic_zo, variants = module("models").LENET5, module("int8.elastic_zo"), module("int8.variants")
    precision = module("int8.precision")
    headroom = {layer.name: 2 for layer in module("models").weight_layers(lenet5.layers)}
    weights = module("int8.draws").init_weights(lenet5, 0, headroom)
    precision.clip_for_zo(weights, precision.zo_tensors(lenet5, bp_tail), settings.r_limit)
    weights = {name: weight._replace(data=weight.data.view(kind)) for name, weight in weights.items()}
    if running:
        scales = module("int8.tail").first_scales(module("models").split_tail(lenet5.layers, bp_tail)[1])
        weights |= {name: scale.view(kind) for name, scale in scales.items()}
    log = []
    for step in range(steps):
        draw = np.random.default_rng(step)
        images = draw.integers(0, 256, (6, 1, 28, 28), dtype=np.uint8).view(kind)
        labels = draw.integers(0, 10, 6).astype(np.uint8).view(kind)
        given = lenet5, bp_tail, weights, images, labels, 0, step, settings, record
        log.append(variants.train_step(*given, variants.Variant(**variant)) if variant else
                   elastic_zo.train_step(*given))
    logits = precision.logits_of(lenet5, weights, images)
    classes = precision.classify(lenet5, weights, images)
    final = [weight.data.tobytes() for weight in weights.values()]
    return log, final, logits.data.tolist(), logits.exponent, classes.tolist()


@pytest.mark.parametrize("bp_tail, changes, variant, running", [
    *((*method, False) for method in METHODS), *((*method, True) for method in RUNNING)])
def test_training_meets_no_float(monkeypatch, bp_tail, changes, variant, running):
    settings = SETTINGS._replace(**changes)
    expected = train(original, bp_tail, settings, variant, running=running)
    for threads, record in (("1", None), ("2", None), ("1", lambda *noted: None)):
        monkeypatch.setenv("ZO_NUMPY_THREADS", threads)
        with watching(package_modules("zo_numpy")) as seen:
            got = train(original, bp_tail, settings, variant, Watched, record=record, running=running)
        assert got == expected                                     # watching changes nothing, nor does a record

        # And the arrays of every stage were watched, not only those passed in.
        stages = {"arith.round_shift", "shapes.relu", "shapes.max_pool2d", "loss.base2_logits"}
        if "frozen" not in variant:
            stages |= {"draws.z_of", "elastic_zo.perturb"}
        if bp_tail:
            stages |= {"tail.softmax_error", "arith.pseudo_stochastic_shift"}
        if bp_tail > 1:
            stages |= {"tail.relu_backward"}
        stages |= {"loss.cross_entropy" if settings.loss == "integer" else "loss.coarse_cross_entropy"}
        assert stages <= {name.removeprefix("zo_numpy.").removeprefix("int8.") for name in seen}


def test_a_float_loss_is_caught_where_the_step_calls_it():
    settings = SETTINGS._replace(loss=float_loss.cross_entropy)
    with pytest.raises(FloatFound, match=r"elastic_zo.py:\d+: loss = "), watching(package_modules("zo_numpy")):
        train(original, 2, settings, kind=Watched)


def test_watching_leaves_no_trace():
    modules = package_modules("zo_numpy")
    before = [dict(vars(module)) for module in modules]
    with watching(modules):
        assert modules[0].np is not np
    assert [dict(vars(module)) for module in modules] == before


@pytest.mark.parametrize("path", INTEGER_FILES, ids=lambda path: path.name)
def test_source_has_no_float(path):
    sites = float_sites(path.read_text(), path.name)
    assert [site for site in sites if not any(site.endswith(f": {text}") for text in NEVER_NEGATIVE)] == []


def test_source_files_are_all_there():
    assert {"rng.py", "tiles.py", "arith.py", "layers.py", "loss.py", "tail.py", "elastic_zo.py"} <= {
        path.name for path in INTEGER_FILES}


# The tripwire tried out

TOTAL = "int(per_sample.sum())\n\n\ndef coarse"     # the end of cross_entropy
PLANTED = [                                          # file, text, what replaces it
    ("int8/loss.py", TOTAL, TOTAL.replace("per_sample.sum()", "np.mean(per_sample)")),
    ("int8/loss.py", TOTAL, TOTAL.replace("per_sample.sum()", "per_sample.mean()")),
    ("int8/loss.py", TOTAL, TOTAL.replace("per_sample.sum()", "per_sample.sum() / 1")),
    ("int8/loss.py", TOTAL, TOTAL.replace("per_sample.sum()", "float(per_sample.sum())")),
    ("int8/loss.py", TOTAL, TOTAL.replace("per_sample.sum()", "round(per_sample.sum())")),
    ("int8/loss.py", TOTAL, TOTAL.replace("per_sample.sum()", "per_sample.sum(dtype='f8')")),
    ("int8/loss.py", "value = coefficient + (", "value = coefficient + 0.0 + ("),
    ("int8/loss.py", "logits.data.astype(np.int64)", "logits.data.astype('d').astype(np.int64)"),
    ("int8/loss.py", "x = total >> whole", "x = np.exp2(np.log2(total) - whole).astype(np.int64)"),
    ("int8/tail.py", "<< SOFTMAX_BITS) // terms.sum(", "<< SOFTMAX_BITS) / terms.sum("),
    ("int8/tail.py", "weight[...] = ", "weight[...] = 1.0 * "),
    ("int8/tail.py", "scale[...] = reference, age", "scale[...] = np.array([reference, age], float)"),
    ("int8/tiled.py", "clip(step, -INT8_MAX,", "clip(step, 0.5 - INT8_MAX,"),
    ("int8/tiled.py", "tile >>= max(0, shift_for(largest) - 1)", "tile = tile / 2**(shift_for(largest) - 1)"),
    ("int8/tiled.py", "half = kept & 1", "half = (kept * 0.5).astype(np.uint8)"),
    ("int8/arith.py", "b[some].astype(np.int32,", "b[some].astype(np.float32,"),
    ("int8/arith.py", "magnitude >>= shift\n    magnitude *= np.sign(values)\n    return magnitude\n\n\ndef pseudo",
     "np.divide(magnitude, 1 << shift, out=magnitude, casting='unsafe')\n    magnitude *= np.sign(values)\n"
     "    return magnitude\n\n\ndef pseudo"),
    ("int8/arith.py", "np.empty((a.shape[0], m), np.int32)", "np.empty((a.shape[0], m))"),
    ("int8/arith.py", "low -= dropped", "low -= np.linspace(dropped, dropped, 1, dtype=np.int32)[0]"),
    ("shapes.py", "return np.maximum(x, 0)", "return np.maximum(x, 0.0)"),
    ("shapes.py", "return np.maximum(x, 0)", "return np.float32(1).astype(np.int32) * np.maximum(x, 0)"),
    ("shapes.py", "n, out_width), dtype)", "n, out_width), np.float64).astype(dtype)"),
    ("int8/elastic_zo.py", "z *= np.int8(times)", "z *= np.random.default_rng(0).integers(1, 2)"),
    ("int8/elastic_zo.py", "np.int8(g) *", "np.array(g, float).astype(np.int8) *"),
    ("int8/elastic_zo.py", "stochastic_shift(z, shift)", "stochastic_shift(z.astype(float), 0)"),
    ("int8/draws.py", "(h < (256 - p_zero << 8))", "(h / 256 < 256 - p_zero)"),
    ("int8/draws.py", "low = h.astype(np.int8) ", "low = (h + np.zeros(1)).astype(np.int8) "),
]


@pytest.mark.parametrize("file, old, new", PLANTED, ids=[new[:40] for _, _, new in PLANTED])
def test_a_planted_float_is_caught_and_its_line_named(tmp_path, file, old, new):
    record = (lambda *noted: None) if file == "int8/tail.py" and "weight" in old else None   # of the plain path alone
    with planted(tmp_path, PACKAGE, "zo_numpy_planted", file, old, new) as (module, path):
        with pytest.raises(FloatFound) as found, watching(package_modules("zo_numpy_planted")):
            train(module, 2, SETTINGS, kind=Watched, steps=1, record=record, running="scale" in old)
    lines = path.read_text().splitlines()
    place, _, message = str(found.value).partition(": ")
    named, _, number = place.rpartition(":")
    assert named == str(path)
    changed = [line for line in new.splitlines() if line.strip() and line not in old.splitlines()][0]
    assert changed.strip() in lines[int(number) - 1]
    assert message.startswith(lines[int(number) - 1].strip())


def test_an_unplanted_copy_is_clean(tmp_path):
    with planted(tmp_path, PACKAGE, "zo_numpy_planted") as (module, _):
        with watching(package_modules("zo_numpy_planted")):
            got = train(module, 2, SETTINGS, kind=Watched, steps=1)
    assert got == train(original, 2, SETTINGS, steps=1)


FLOAT_SOURCE = [
    "x = 0.5", "x = 1e3", "x = 2j", "x = [b for b in a if b > .5]", "def f(x=0.1): pass",
    "x = a / b", "x /= 2", "x = f(g(a / 2))", "x = 2**-1", "x = 2**k", "x **= k", "x = 2**.5",
    "x = pow(2, k)",
    "x = float(a)", "x = a.astype(float)", "x = round(a)", "x = complex(1)", "x: float = 1",
    "import math", "from math import log2", "import time", "import numpy", "import numpy as n",
    "from numpy import mean", "import scipy.special",
    "x = np.mean(a)", "x = a.mean()", "x = np.linspace(0, 1, 2)", "x = np.sqrt(a)", "x = np.log2(a)",
    "x = np.exp(a)", "x = np.floor(a)", "x = np.linalg.norm(a)", "x = np.inf",
    "x = np.random.default_rng(0)", "x = np.random.normal()",
    "x = np.float32(1)", "x = np.zeros(3, np.float64)", "x = np.zeros(3, 'f4')", "x = a.astype('float64')",
    "x = np.zeros(3)", "x = np.empty((2, 2))",
]
INTEGER_SOURCE = [
    "x = a // b", "x = 2**31 - 1", "x = -(2**3)", "x = a >> 1", "'1.5 / 2 ** -1'  # 0.5",
    "x = np.zeros(3, np.int32)", "x = np.zeros((2, 2), dtype=int)", "x = np.maximum(a, 0)", "x = a.sum()",
    "x = np.random.Philox(key=1).random_raw(4)", "x = np.einsum('nk,km->nm', a, b)",
    "x = np.searchsorted(a, b, side='right')", "x = settings.mean_of", "import numpy as np",
    "from .arith import QTensor",
]


@pytest.mark.parametrize("source", FLOAT_SOURCE)
def test_float_source_is_found_and_its_line_named(source):
    sites = float_sites(f"'''Doc: 0.5.'''\na = b = k = 1\n{source}\n", "file.py")
    assert sites and all(site.startswith("file.py:3: ") for site in sites)


@pytest.mark.parametrize("source", INTEGER_SOURCE)
def test_integer_source_is_let_through(source):
    assert float_sites(source, "file.py") == []


WAYS = [
    lambda a: a / 2, lambda a: a * 0.5, lambda a: a**0.5, lambda a: a > 0.5, lambda a: a + 1j,
    lambda a: np.add(a, np.float32(1)), lambda a: a.sum() / 2, lambda a: a[0] / 2,
    lambda a: functools.reduce(lambda s, x: s + x / 2, a, 0),
    lambda a: np.true_divide(a, 2, out=a, casting="unsafe"), lambda a: np.add.reduce(a, dtype=np.float32),
    lambda a: a.astype(float), lambda a: a.view("f4"), lambda a: a.__setitem__(0, 1.5),
    lambda a: a.mean(), lambda a: a.std(), np.mean, np.average, np.sqrt,
    lambda a: np.concatenate([a, [1.5]]), lambda a: np.where(a > 1, a, 0.5),
    lambda a: np.full_like(a, 1, dtype=np.float16),
]


@pytest.mark.parametrize("operation", WAYS, ids=range(len(WAYS)))
def test_every_way_to_a_float_is_watched(operation):
    scope = {"__name__": "zo_numpy.somewhere", "operation": operation}
    exec(compile("def run(a): return operation(a)", "somewhere.py", "exec"), scope)
    with pytest.raises(FloatFound, match="^somewhere.py:1: "):
        scope["run"](np.arange(4, dtype=np.int32).view(Watched))
