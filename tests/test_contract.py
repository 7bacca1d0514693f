"""What stands beside the vectors: constants, choices, known answers, decoded clouds, the example as JSON, schemas."""
import copy
import json
import pathlib
import re

import numpy as np
import pytest

import datasets
import schema
import spec_example
import test_spec
import twins
from test_spec import integers, rows, section
from zo_numpy import models, rng
from zo_numpy.golden import committed, ops
from zo_numpy.run.config_json import read_config
from zo_numpy.run.steps import log_line, one_step, own_method
from zo_numpy.run.trainer import first_weights

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONSTANTS = json.loads((GOLDEN / "contract" / "constants.json").read_text())
CHOICES = json.loads((GOLDEN / "contract" / "choices.json").read_text())


# Schemas.

KINDS = {"op": "ops/*.json", "manifest": "traces/*/manifest.json", "config": "runs/*/config.json",
         "constants": "contract/constants.json", "choices": "contract/choices.json", "example": "example.json"}


def schema_of(kind):
    return json.loads((GOLDEN / "schemas" / f"{kind}.json").read_text())


def test_every_json_file_has_a_schema():
    of_kinds = [path for pattern in KINDS.values() for path in GOLDEN.glob(pattern)]
    assert sorted(GOLDEN.rglob("*.json")) == sorted([*of_kinds, *(GOLDEN / "schemas").iterdir()])
    assert sorted(KINDS) == sorted(path.stem for path in (GOLDEN / "schemas").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_as_its_schema_says(kind):
    rules, paths = schema_of(kind), sorted(GOLDEN.glob(KINDS[kind]))
    said = {path: schema.problem(json.loads(path.read_text()), rules) for path in paths}
    assert paths and {path: text for path, text in said.items() if text} == {}


def changed(kind, *place, value):
    """The first file of a kind with one value changed; a value of None takes the entry out."""
    content = json.loads(sorted(GOLDEN.glob(KINDS[kind]))[0].read_text())
    inner = content
    for part in place[:-1]:
        inner = inner[part]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


DAMAGE = {
    "another version": changed("op", "format_version", value=2), "a version that is true": changed(
        "op", "format_version", value=True),
    "a float in a case": changed("op", "cases", 0, "expected", value={"x": [1.5]}),
    "nothing expected": changed("op", "cases", 0, "expected", value={}), "no cases": changed("op", "cases", value=[]),
    "no flags": changed("op", "cases", 0, "flags", value=None), "a field more": changed("op", "more", value=1),
    "an unknown layer": changed("op", "cases", 0, "parameters", value={"layers": [{"type": "Conv3d"}]}),
}
DAMAGED = [("op", name, content) for name, content in DAMAGE.items()] + [
    (kind, f"{place[-1]} is {value}", changed(kind, *place, value=value)) for kind, place, value in (
        ("manifest", ("records", 0, "sha256"), "A" * 64), ("manifest", ("records", 0, "inputs"), [-1]),
        ("manifest", ("records", 3, "shape"), []), ("manifest", ("records", 0, "phase"), "middle"),
        ("manifest", ("config", "seed"), 2**64), ("manifest", ("records",), []),
        ("manifest", ("layers", 0, "pad"), None),
        ("config", ("schedules", "eps"), [1]), ("config", ("bp_tail",), -1), ("config", ("zo_frozen",), 0),
        ("config", ("dataset", "digest"), "0"), ("config", ("queries",), 65), ("config", ("more",), 1),
        ("constants", ("philox4x64", "multipliers"), [1]), ("constants", ("tables", "z"), [[1, 2, 3]]),
        ("choices", ("ops", "relu"), ["1"]), ("choices", ("runs",), None), ("example", ("values",), {}),
        ("example", ("values", "g"), 0.5))]


@pytest.mark.parametrize("kind, content", [row[::2] for row in DAMAGED], ids=[f"{row[0]}: {row[1]}" for row in DAMAGED])
def test_a_file_that_is_not_is_refused(kind, content):
    said = schema.problem(content, schema_of(kind))
    assert said and "\n" not in said


def test_a_schema_with_a_word_that_is_not_known_is_refused():
    rules = copy.deepcopy(schema_of("example"))
    rules["properties"]["values"]["maxProperties"] = 3
    with pytest.raises(ValueError, match="maxProperties"):
        schema.problem(json.loads((GOLDEN / "example.json").read_text()), rules)


# Constants, against SPEC.md and against other ways to compute them.

def test_philox_by_the_constants_alone():
    philox = CONSTANTS["philox4x64"]
    named = dict(zip(("M0", "M1", "W0", "W1"), philox["multipliers"] + philox["key_increments"]))
    assert named == {name: int(value, 16) for name, value in rows(section("4.1"), "constant")}
    assert re.search(r"repeat (\d+) times", section("4.1"))[1] == str(philox["rounds"])
    block = test_spec.philox((philox["first_block"], 7, 5, 0), (3, CONSTANTS["streams"]["PERTURB"]), named)
    assert rng.words(3, rng.PERTURB, 5, 7, 0, 4).tolist() == block


def test_constants_are_those_of_the_contract():
    assert CONSTANTS["streams"] == {name: int(number) for name, number, *_ in rows(section("4.2"), "stream")}
    listed = {name: int(value) for name, value, _ in rows(section("8"), "constant")}
    found = {name.upper(): value for name, value in CONSTANTS["loss"].items()}
    found["SOFTMAX_BITS"] = CONSTANTS["tail"]["softmax_bits"]
    polynomials = {name: [int(c) for c in coefficients if c]
                   for name, *coefficients in rows(section("8"), "polynomial")}
    assert polynomials == {name: found.pop(f"{name}_COEFFICIENTS") for name in ("EXP2", "LOG2")}
    assert found == listed
    fields = {name: integers(values.replace("..", " ")) for name, values, _ in rows(section("12"), "field")}
    assert {name: fields[f"schedules.{name}"][:2 if name != "r_max" else None]
            for name in ("r_max", "p_zero", "b_zo", "b_bp")} == {
        name: values for name, values in CONSTANTS["schedules"].items() if name != "b_bp_running"}
    text = " ".join(section("9.1").split())
    tail = CONSTANTS["tail"]
    assert f"{tail['first_reference']} and 0 before the first step" in text
    assert f"if age = {tail['fall_after']}" in text and f"min({tail['largest_shift']}, " in text
    low, high = CONSTANTS["schedules"]["b_bp_running"]
    assert f"b_bp is {low}..{high}" in text
    assert f"batches of {CONSTANTS['run']['evaluation_batch']}" in section("11")
    assert f"after steps {CONSTANTS['run']['digest_every'] - 1}, " in section("12")
    assert f"t <= {CONSTANTS['tensors']['largest_terms']}" in section("5.4").replace("\n", " ")


def test_tables_by_the_twins():
    for m, width in CONSTANTS["tables"]["bit_width"]:
        assert twins.bit_width(m) == width
    for a, s, rounded, pseudo in CONSTANTS["tables"]["shifts"]:
        assert (twins.round_shift(a, s), twins.pseudo_stochastic_shift(a, s)) == (rounded, pseudo)
    for h, r_max, p_zero, z in CONSTANTS["tables"]["z"]:
        assert twins.perturbation_of(h, r_max, p_zero) == z


def test_networks_are_those_of_the_contract():
    listed = [(name, integers(shape), int(fan_in), int(k))
              for number in ("6.1", "15.2") for _, name, shape, _, fan_in, k in rows(section(number), "tensor")]
    found = [(tensor["name"], tensor["shape"], tensor["fan_in"], tensor["k"])
             for name in ("lenet5", "narrow-lenet", "pointnet", "narrow-pointnet")
             for tensor in CONSTANTS["networks"][name]["tensors"]]
    assert found == listed and set(CONSTANTS["networks"]) == set(models.MODELS)


def test_known_answers_of_philox():
    lines = [line.split() for line in (GOLDEN / "contract" / "philox.txt").read_text().splitlines()
             if not line.startswith("#")]
    assert len(lines) == len(ops.DEFINITIONS["philox4x64_10"].cases) and lines[0][:2] == ["philox4x64", "10"]
    for name, rounds, *numbers in lines:
        assert all(re.fullmatch("[0-9a-f]{16}", number) for number in numbers) and len(numbers) == 10
        words = [int(number, 16) for number in numbers]
        assert list(twins.philox4x64_10(tuple(words[:4]), tuple(words[4:6]))) == words[6:]
    for counter, key, block in rows(section("4.1"), "c0 c1 c2 c3"):
        assert [f"{word:016x}" for word in integers(counter) + integers(key) + integers(block)] in [
            line[2:] for line in lines]


# What each vector needs.

UNSEEN = {38, 39}   # what is refused, and labels of two bytes: no vector shows them


def test_choices_name_every_vector_and_every_choice_is_needed_somewhere():
    assert set(CHOICES["ops"]) == set(ops.OPS)
    assert set(CHOICES["traces"]) == set(committed.TRACES) and set(CHOICES["runs"]) == set(committed.RUNS)
    needed = {number for part in ("ops", "traces", "runs") for numbers in CHOICES[part].values() for number in numbers}
    assert needed | UNSEEN == {int(row[0]) for row in rows(section("13"), "CHOICE")} and not needed & UNSEEN


# Clouds, and the example.

def test_a_run_on_solids_is_made_from_the_committed_clouds_alone():
    samples, labels = (np.load(GOLDEN / "data" / f"solids-{part}.npy", allow_pickle=False)
                       for part in ("samples", "labels"))
    assert (samples.shape, samples.dtype, labels.shape, labels.dtype) == ((528, 64, 3), np.int8, (528,), np.uint8)
    for name in ("solids-int8-k3", "solids-int8-k1-queries3"):
        config = read_config(GOLDEN / "runs" / name)
        weights, lines = first_weights(config), (GOLDEN / "runs" / name / "steps.txt").read_text().splitlines()
        for step in range(3):
            outcome = one_step(config, own_method(config), weights, samples[:config.limit], labels[:config.limit], step)
            assert log_line(step + 1, len(lines), outcome, None) == lines[step]


def test_the_clouds_reported_on_stand_behind_those_trained_on():
    config = read_config(GOLDEN / "runs" / "solids-int8-k0")
    dataset = datasets.load("synthetic-solids", points=64, announce=lambda text: None)
    labels = np.load(GOLDEN / "data" / "solids-labels.npy", allow_pickle=False)
    assert (labels[config.limit:] == dataset.train_labels[-config.validate:]).all() and len(labels) == 528


def test_the_example_as_json_is_that_of_the_contract():
    text = (GOLDEN / "example.json").read_text()
    assert json.loads(text)["values"] == test_spec.values_of(test_spec.WRITTEN)
    assert spec_example.as_json(spec_example.from_library()) == text
