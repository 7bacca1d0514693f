"""SPEC.md, the contract that ports are written from: its tables against the code, its worked example against zo_numpy
and against the twins, digit by digit."""
import ast
import dataclasses
import hashlib
import pathlib
import re
import types

import numpy as np
import pytest

import datasets
import spec_example
import twins
import twins_training
from datasets.mnist import MNIST, SUBSET
from zo_numpy import models, rng
from zo_numpy.fp32 import draws as fp32_draws, points as fp32_points
from zo_numpy.golden import tolerances
from zo_numpy.int8 import arith, draws, elastic_zo, layers, loss, points, precision, tail
from zo_numpy.run import config, config_json
from zo_numpy.run.trainer import EVALUATION_BATCH

PACKAGE = pathlib.Path(config.__file__).parents[1]
SPEC = (PACKAGE / "int8" / "SPEC.md").read_text(encoding="utf-8")


# Reading the document.

def section(number):
    """The text of section `number`, such as '4.3', without the sections below it."""
    return re.search(rf"^##+ {re.escape(number)}\.? .*?(?=^##|\Z)", SPEC, re.M | re.S)[0]


def rows(text, first_column):
    """The rows of the tables in a text whose first column has that heading: lists of cells."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        heading, _, *body = [[cell.strip() for cell in line] for line in lines]
        if heading[0] == first_column:
            found += body
    assert found, first_column
    return found


def assignments(text):
    """[(name, text of its value)] of the `name = value` lines in a text's fenced blocks; indented lines continue."""
    lines = "".join(re.findall(r"^```text\n(.*?)^```", text, re.M | re.S))
    pairs = re.findall(r"^(\S+) =((?: .*)?\n(?: .*\n)*)", lines, re.M)
    assert "".join(f"{name} ={value}" for name, value in pairs) == lines     # nothing else in the blocks
    return [(name, value.strip()) for name, value in pairs]


def integers(cell):
    return [int(number, 0) for number in re.findall(r"-?\b(?:0x[0-9a-fA-F]+|\d+)\b", cell)]


# The worked example.

EXAMPLE = section("14")
WRITTEN = assignments(EXAMPLE)


def values_of(pairs):
    values = {name: ast.literal_eval(text) for name, text in pairs}
    assert len(values) == len(pairs)                                         # no name twice
    return values


@pytest.mark.parametrize("compute", [spec_example.from_library, spec_example.from_twins])
def test_example(compute):
    written, computed = values_of(WRITTEN), compute()
    assert written.keys() == computed.keys()
    assert {name: (written[name], computed[name]) for name in written if written[name] != computed[name]} == {}


def test_remarks_on_the_example():
    prose = " ".join(re.sub(r"^```text\n.*?^```", "", EXAMPLE, flags=re.M | re.S).split())
    values, remarks = values_of(WRITTEN), re.findall(r"`(\w[\w.]*)((?:\[\d+\])*) = ([^`]+)`", prose)
    assert len(remarks) >= 15
    for name, indices, claimed in remarks:
        value = values[name]
        for index in integers(indices):
            value = value[index]
        assert value == ast.literal_eval(claimed), (name, indices)


def test_example_shows_what_it_is_meant_to():
    v = values_of(WRITTEN)
    assert v["g"] != 0 and v["plus.L"] != v["minus.L"]
    assert v["zo_step.conv1"] != v["z.data"] and np.any(v["zo_step.conv1"])
    assert all(np.any(v[f"tail.{name}.step"]) for name in ("fc1", "fc2"))
    accumulator, shift = v["plus.fc2.accumulator"][0][0], v["plus.fc2.shift"]
    assert accumulator < 0 and -accumulator % 2**shift == 2**(shift - 1)     # a negative tie
    assert {v[f"tail.{name}.gradient_shift"] % 2 for name in ("fc1", "fc2")} == {0, 1}


# Random numbers.

def philox(counter, key, constants):
    """Section 4.1 with the constants of its table, the products in halves as it says for want of 128 bits."""
    def product(a, b):
        (ah, al), (bh, bl) = divmod(a, 2**32), divmod(b, 2**32)
        p = al * bl
        q = ah * bl + (p >> 32)
        r = al * bh + (q & 0xFFFFFFFF)
        assert max(p, q, r) < 2**64
        return ah * bh + (q >> 32) + (r >> 32), a * b % 2**64

    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        (hi0, lo0), (hi1, lo1) = product(constants["M0"], c0), product(constants["M1"], c2)
        c0, c1, c2, c3 = hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0
        k0, k1 = (k0 + constants["W0"]) % 2**64, (k1 + constants["W1"]) % 2**64
    return [c0, c1, c2, c3]


def test_philox():
    constants = {name: int(value, 16) for name, value in rows(section("4.1"), "constant")}
    known = rows(section("4.1"), "c0 c1 c2 c3")
    assert len(known) == 2
    for counter, key, block in known:
        assert philox(integers(counter), integers(key), constants) == integers(block)
        assert list(twins.philox4x64_10(tuple(integers(counter)), tuple(integers(key)))) == integers(block)
    blocks = [philox((block, 7, 5, 0), (3, rng.PERTURB), constants) for block in (1, 2)]
    assert rng.words(3, rng.PERTURB, 5, 7, 0, 8).tolist() == blocks[0] + blocks[1]


def test_streams():
    listed = {name: columns for name, *columns in rows(section("4.2"), "stream")}
    assert {name: int(columns[0]) for name, columns in listed.items()} == \
        {name: getattr(rng, name) for name in ("INIT", "PERTURB", "SHUFFLE", "DATA")}
    (init, _, init_step, init_query, _), (shuffle, shuffle_tensor, _, shuffle_query, _) = \
        listed["INIT"], listed["SHUFFLE"]
    perturb, perturb_query = listed["PERTURB"][0], listed["PERTURB"][3]
    h = rng.half_words(6, int(init), int(init_step), 4, int(init_query), 9).astype(int)
    assert draws.uniform_int8(6, 4, 9, 127).tolist() == ((h * 255 >> 16) - 127).tolist()
    order = rng.words(6, int(shuffle), 8, int(shuffle_tensor), int(shuffle_query), 9)
    assert rng.shuffled(6, 8, 9).tolist() == order.argsort(kind="stable").tolist()
    h = rng.half_words(6, int(perturb), 8, 4, int(perturb_query), 25)
    settings = elastic_zo.Settings(r_max=63, p_zero=9, b_zo=1, b_bp=1, r_limit=63)
    assert precision.draw(settings, 6, 8, 4, 0, 25).tolist() == draws.perturbation_table(63, 9)[h].tolist()


def test_half_words_to_z():
    for h, r_max, p_zero, z in (integers(" ".join(row)) for row in rows(section("4.3"), "h")):
        assert draws.perturbation_table(r_max, p_zero)[h] == twins.perturbation_of(h, r_max, p_zero) == z


@pytest.mark.parametrize("words, made", [(rng, draws), (twins, twins)], ids=["zo_numpy", "twins"])
def test_draws(words, made):
    assert values_of(assignments(section("4.3"))) == {
        "draw.words": list(map(int, words.words(1, 1, 2, 3, 0, 5))),
        "draw.half_words": list(map(int, words.half_words(1, 1, 2, 3, 0, 6))),
        "draw.z_7_64": list(made.perturbation(1, 2, 3, 0, 16, 7, 64)),
        "draw.z_63_0": list(made.perturbation(1, 2, 3, 0, 16, 63, 0)),
        "draw.uniform_63": list(made.uniform_int8(1, 3, 16, 63)),
        "draw.order_10": list(words.shuffled(1, 2, 10))}


# Arithmetic, network, loss.

def test_widths_and_ranges():
    widths = re.findall(r"width\((\d+)\) = (\d+)", section("1"))
    assert len(widths) == 4
    for magnitude, width in widths:
        assert arith.bit_width(int(magnitude)) == twins.bit_width(int(magnitude)) == int(width)
    ranges = {quantity: integers(limits.replace("..", " ")) for quantity, _, limits in rows(section("2"), "quantity")}
    assert ranges["weights, activations, logits, errors"] == [-arith.INT8_MAX, arith.INT8_MAX]
    largest = max(config.SCHEDULES["int8"]["r_max"].values)
    assert ranges["z"] == [-largest, largest]
    largest = 2 * 2**max(config.SCHEDULES["int8"]["b_bp"].values)
    assert ranges["steps of a tail weight"] == [-largest, largest]


def test_shifts():
    for a, s, rounded, pseudo in (integers(" ".join(row)) for row in rows(section("5.2"), "a")):
        assert arith.round_shift(np.array([a], np.int32), s) == twins.round_shift(a, s) == rounded
        shifted = arith.pseudo_stochastic_shift(np.array([a], np.int32), s)
        assert shifted == twins.pseudo_stochastic_shift(a, s) == pseudo


def test_requantise():
    for row in rows(section("5.3"), "A"):
        accumulator, (exponent,), (shift,), data, (after,) = map(integers, row)
        out = arith.requantise(np.array(accumulator, np.int32), exponent)
        assert (out.data.tolist(), out.exponent) == twins.requantise(accumulator, exponent) == (data, after)
        assert after == exponent + shift


def test_accumulators():
    terms = int(re.search(r"t <= (\d+)", section("5.4"))[1])
    assert terms == arith.MAX_TERMS
    assert terms * 127**2 < 2**31 - 2**23 <= (terms + 1) * 127**2
    both = [models.weight_layers(model.layers) for model in (models.LENET5, models.POINTNET)]
    forward = [max(map(models.fan_in, layers)) for layers in both]
    tail = [max(layer.out_features for layer in layers[-2:]) for layers in both]   # no error passes through the third
    full = [max(layer.weight_shape[0] * getattr(layer, "kernel", 1)**2 for layer in layers[1:]) for layers in both]
    found = re.findall(r"\((\d+)(?: at most)?(?:; (?:in PointNet )?(\d+))?\)", " ".join(section("5.4").split()))
    assert [integers(" ".join(pair)) for pair in found] == [forward, tail, [loss.MAX_BATCH], full]


@pytest.mark.parametrize("number, networks", [("6.1", (models.LENET5, models.NARROW_LENET)),
                                              ("15.2", (models.POINTNET, models.NARROW_POINTNET))])
def test_parameters(number, networks):
    listed = rows(section(number), "tensor")
    expected = []
    for model in networks:
        weights = draws.init_weights(model, 0, dict.fromkeys(model_names(model), 0))
        for tensor, layer in enumerate(models.weight_layers(model.layers)):
            fan_in = models.fan_in(layer)
            assert weights[layer.name].exponent == twins_training.init_exponent(fan_in, 0)
            expected.append([str(tensor), layer.name, str(layer.weight_shape), str(models.weight_count(layer)),
                             str(fan_in), str(-weights[layer.name].exponent)])
        count = sum(map(models.weight_count, models.weight_layers(model.layers)))
        assert int(re.search(rf"`{model.name}`.*?(\d+) weights", section(number), re.S)[1]) == count
    assert listed == expected


def test_parameters_of_other_images():
    text = section("6.3")
    shape, classes = eval(re.search(r"For (\d+) x (\d+) x (\d+) pixels", text).expand(r"(\1, \2, \3)")), 12
    model = models.fitted(models.LENET5, shape, classes)
    weights = draws.init_weights(model, 0, dict.fromkeys(model_names(model), 0))
    layers_of = models.weight_layers(model.layers)
    assert rows(text, "tensor of own data") == [
        [str(i), layer.name, str(layer.weight_shape), str(models.weight_count(layer)), str(models.fan_in(layer)),
         str(-weights[layer.name].exponent)] for i, layer in enumerate(layers_of)]
    assert f"{sum(map(models.weight_count, layers_of))} weights" in text
    most, fits, too_large = integers(" ".join(re.search(r"more than (\d+),.*?(\d+) x \d+ pixels fit and (\d+) x",
                                                        text, re.S).groups()))
    largest = [max(map(models.fan_in, models.weight_layers(models.fitted(models.LENET5, (1, side, side), 10).layers)))
               for side in (fits, too_large)]
    assert 16 * most <= arith.MAX_TERMS < 16 * (most + 1) and largest[0] <= arith.MAX_TERMS < largest[1]


def model_names(model):
    return [layer.name for layer in models.weight_layers(model.layers)]


def test_shapes_of_the_forward_pass():
    expected = []
    for model in (models.LENET5, models.NARROW_LENET):
        x = arith.from_pixels(np.zeros((2, 1, 28, 28), np.uint8))
        weights = draws.init_weights(model, 0, dict.fromkeys(model_names(model), 0))
        for block in models.blocks(model.layers):
            shapes = {"MaxPool2d": None}
            out = layers.forward_block(block, weights, x, lambda op, _, value: shapes.update(
                {op: value.data.shape if op == "requantise" else value.shape}))
            ops = ("Conv2d" if "Conv2d" in shapes else "Linear", "MaxPool2d", "requantise")
            expected.append([block[0].name, *(str(shape).replace("(2,", "(N,") if shape else "-"
                                              for shape in (x.data.shape, *(shapes[op] for op in ops)))])
            x = out
    assert rows(section("7"), "block") == expected


def test_shapes_of_the_forward_pass_on_points():
    expected = []
    for model in (models.POINTNET, models.NARROW_POINTNET):
        x = points.from_points(np.zeros((2, 7, 3), np.int8))
        weights = draws.init_weights(model, 0, dict.fromkeys(model_names(model), 0))
        for block in models.blocks(models.integer_layers(model.layers)):
            shapes = {"MaxOverPoints": None}
            out = layers.forward_block(block, weights, x, lambda op, _, value: shapes.update(
                {op: value.data.shape if op == "requantise" else value.shape}))
            ops = ("PointLinear" if "PointLinear" in shapes else "Linear", "MaxOverPoints", "requantise")
            expected.append([block[0].name, *(
                str(shape).replace("(2, 7,", "(N, P,").replace("(2,", "(N,") if shape else "-"
                for shape in (x.data.shape, *(shapes[op] for op in ops)))])
            x = out
    assert rows(section("15.3"), "block of points") == expected
    assert int(re.search(r"Terms of an accumulator: (\d+) at most", " ".join(section("15.3").split()))[1]) == \
        max(map(models.fan_in, models.weight_layers(models.POINTNET.layers)))


def test_constants():
    listed = {name: int(value) for name, value, _ in rows(section("8"), "constant")}
    assert listed == {name: getattr(tail if name == "SOFTMAX_BITS" else loss, name) for name in listed}
    assert {name for name in vars(loss) if name.isupper() and type(getattr(loss, name)) is int} < listed.keys()
    assert (listed["LOG2_E"] - 1) / 2**15 < np.log2(np.e) < (listed["LOG2_E"] + 1) / 2**15
    assert {arith.INT8_MAX, EVALUATION_BATCH} == {127, 256}


def test_polynomials():
    listed = {row[0]: integers(" ".join(row[1:])) for row in rows(section("8"), "polynomial")}
    assert listed == {"EXP2": list(loss.EXP2_COEFFICIENTS), "LOG2": list(loss.LOG2_COEFFICIENTS)}
    assert listed == {"EXP2": list(twins.EXP2), "LOG2": list(twins.LOG2)}


def test_nothing_overflows():
    listed = rows(section("8.3"), "quantity")
    assert len(listed) == 9
    bounds = [[eval(text.replace("^", "**")) for text in row[1:]] for row in listed]
    assert all(at_most < below <= 2**63 for at_most, below in bounds)
    u = arith.INT8_MAX * loss.LOG2_E * 2**(loss.FRACTION_BITS - loss.LOG2_E_BITS + loss.MAX_EXPONENT)
    one, unit = 2**loss.TERM_BITS, 2**loss.FRACTION_BITS
    log2_classes = (loss.MAX_CLASSES - 1).bit_length()
    assert [at_most for at_most, _ in bounds if type(at_most) is int] == [
        arith.INT8_MAX * loss.LOG2_E, u, 2 * u + unit, one * one, one * 2**tail.SOFTMAX_BITS, loss.MAX_CLASSES * one,
        one * one, loss.MAX_BATCH * (2 * u + log2_classes * unit)]
    steepest = ((2**31 - 1 - 2**30) << 30) // (2**31 - 1 + 2**30)            # the largest t
    value = loss.LOG2_COEFFICIENTS[-1]
    for coefficient in loss.LOG2_COEFFICIENTS[-2::-1]:
        assert value * steepest < 2**28.5 * 2**31.6
        value = coefficient + (value * (steepest * steepest >> 30) >> 30)
    assert steepest < 2**28.5 and value < 2**31.6


# Data, configuration, choices.

@pytest.mark.parametrize("heading, known", [("file", MNIST), ("embedded file", SUBSET)])
def test_data_files(heading, known):
    listed = {name: (int(samples), digest) for name, samples, digest in rows(section("3"), heading)}
    assert list(listed) == list(known.sha256)
    assert {name: digest for name, (_, digest) in listed.items()} == known.sha256
    assert [samples for samples, _ in listed.values()] == [known.train_count] * 2 + [known.test_count] * 2


def test_digest_of_the_subset_is_made_as_it_says():
    digests = b"".join(bytes.fromhex(digest) for _, _, digest in rows(section("3"), "embedded file"))
    assert hashlib.sha256(digests).hexdigest() == datasets.load("mnist-subset", announce=lambda text: None).digest


def test_fields_of_the_configuration():
    listed = {name: values for names, values, _ in rows(section("12"), "field") for name in names.split(", ")}
    dataset = types.SimpleNamespace(source="", complete=True, digest="", train_labels=[0] * 9, classes=())
    options = {"model": "pointnet", "data": "modelnet10", "tail_scale": "running"}
    described = config_json.describe(config.make_config(options), dataset)
    of_images = config.make_config({"data": "own.npz", "input_shape": [3, 8, 8], "classes": 2})
    assert set(config_json.as_json(of_images)) - set(described) == {"input_shape"}
    described |= {"input_shape": [3, 8, 8], "layers": []}   # either of a user's own
    assert listed.keys() == {*described, *(f"schedules.{name}" for name in described["schedules"]),
                             *(f"dataset.{name}" for name in described["dataset"])}
    assert described.keys() - {"format_version", "zo_numpy", "dataset"} == \
        {field.name for field in dataclasses.fields(config.Config)}
    for name, values in config.CHOICES.items():
        assert re.findall(r'"(.*?)"', listed[name]) == list(values)
    for name, allowed in config.SCHEDULES["int8"].items():
        written = integers(listed[f"schedules.{name}"].replace("..", " "))
        if ".." in listed[f"schedules.{name}"]:
            written = range(written[0], written[1] + 1)
        assert list(written) == list(allowed.values)
    assert integers(listed["batch_size"].replace("..", " ")) == [1, config.LARGEST_BATCH] == [1, loss.MAX_BATCH]
    assert integers(re.search(r"K, (.*)", listed["bp_tail"])[1].replace("..", " ")) == \
        [0, models.longest_tail(models.LENET5.layers)]


def test_every_choice_has_a_row_and_every_row_a_place():
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
               for path in PACKAGE.rglob("*.py")}
    marked = {name: list(map(int, re.findall(r"CHOICE (\d+)", text))) for name, text in sources.items()}
    listed = rows(section("13"), "CHOICE")
    numbers = [int(row[0]) for row in listed]
    assert numbers == list(range(1, len(numbers) + 1))
    assert set(sum(marked.values(), [])) == set(numbers)
    for number, (*_, where) in zip(numbers, listed):
        name, thing = re.fullmatch(r"`(.*?)` (\w+)", where).groups()
        assert number in marked[name], f"CHOICE {number} is not in {name}"
        assert re.search(rf"^((def|class) {thing}\(|{thing}\b.* = )", sources[name], re.M), f"{name} has no {thing}"


def test_document_is_plain():
    assert all(ord(character) < 128 for character in SPEC)
    assert max(len(line) for line in SPEC.splitlines() if not line.startswith("|")) <= 120
    headings = re.findall(r"^##+ (\d+(?:\.\d+)?)", SPEC, re.M)
    for referred in re.findall(r"[Ss]ections? (\d+(?:\.\d+)?)", SPEC):
        assert referred in headings


def test_the_page_on_fp32_has_the_tolerances_of_the_code():
    page = (PACKAGE / "fp32" / "SPEC.md").read_text(encoding="utf-8")
    listed = {what: error for what, error, _ in rows(page, "what")}
    firsts = {what: float(re.match(r"[0-9.e-]+", error)[0]) for what, error in listed.items()}
    assert firsts == {
        "clouds": 0, "first weights, input": tolerances.DRAWN, "z": tolerances.NORMAL,
        "weights later on": tolerances.COMPUTED, "all other tensors": tolerances.COMPUTED, "a loss": tolerances.LOSS,
        "g": tolerances.LOSS, "a run's loss; g": tolerances.RUN, "a run's samples that are right": 100 * tolerances.RIGHT}
    assert f"float32({fp32_points.MOMENTUM})" in page and "+ 1e-5)" in page and fp32_points.EPSILON == 1e-5
    names = list(fp32_draws.init_weights(models.MODELS["pointnet"], 0))
    of_pointnet = page[page.index("PointNet:"):]
    for name, index in re.findall(r"`([a-z0-9]+\.[a-z]+)` (\d+)", of_pointnet):
        assert names.index(name) == int(index)
    assert all(ord(character) < 128 for character in page) and max(map(len, page.splitlines())) <= 200
