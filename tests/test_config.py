"""Configurations: defaults, schedules, every refusal, and the way through JSON."""
import dataclasses
import json
import random

import pytest

import zo_numpy.run.config
from zo_numpy.errors import UserError
from zo_numpy.models import MODELS, takes_points
from zo_numpy.run import defaults
from zo_numpy.run.config import ADDED, CHOICES, POINT_DATA, POINT_FIELDS, SCHEDULES, Config, make_config
from zo_numpy.run.config_json import config_from_json

NUMBERS = (-1, 0, 8, 10**30, 1.5, True, None, "3", [3])   # as JSON may hold them where another number belongs


def refusal(given):
    with pytest.raises(UserError) as caught:
        make_config(given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def as_json(config):
    return json.loads(json.dumps(zo_numpy.run.config_json.as_json(config)))


# Schedules

@pytest.mark.parametrize("epochs, values, expected", [
    (1, (5, 6, 7), [5]),
    (3, (5, 6, 7), [5, 6, 7]),
    (6, (5, 6, 7), [5, 5, 6, 6, 7, 7]),
    (4, (5, 6, 7), [5, 5, 6, 7]),                     # 4 epochs in 3 parts: 0 * 3 // 4, 1 * 3 // 4, ...
    (5, (1, 7), [1, 1, 1, 7, 7]),
    (2, (1, 2, 3, 4), [1, 3]),
])
def test_a_schedule_shares_the_epochs_in_equal_parts(epochs, values, expected):
    config = make_config({"epochs": epochs, "b_bp": values})
    assert [config.at("b_bp", epoch) for epoch in range(epochs)] == expected


def data_for(model):
    """A data set of the kind of samples that a model takes."""
    return {"data": "synthetic-solids" if takes_points(MODELS[model]) else "mnist"}


@pytest.mark.parametrize("bp_tail", range(4))
@pytest.mark.parametrize("model", CHOICES["model"])
def test_every_tail_has_defaults(model, bp_tail):
    config = make_config({"model": model, "bp_tail": bp_tail, **data_for(model)})
    assert set(config.schedules) == set(SCHEDULES["int8"])
    for name, values in config.schedules.items():
        assert values and all(value in SCHEDULES["int8"][name].values for value in values)
    stated = {"bp_tail": 2, "model": "lenet5", "epochs": 30, "batch_size": 64, "seed": 0}
    assert make_config({}) == make_config(stated)


def test_small_batches_of_images_have_the_running_scale():
    def scale(**given):
        return make_config(given).tail_scale
    assert scale() == scale(batch_size=5) == scale(batch_size=1, tail_scale="own") == "own"
    assert scale(batch_size=4) == scale(batch_size=1, bp_tail="all") == scale(tail_scale="running") == "running"
    assert scale(batch_size=1, bp_tail=0) == scale(batch_size=1, precision="fp32") == "own"
    assert scale(batch_size=1, model="pointnet", data="modelnet10") == "own"
    assert make_config({"batch_size": 4}).schedules["b_bp"] != make_config({"batch_size": 5}).schedules["b_bp"]


def test_defaults_by_precision_and_tail_then_data_then_fine_tuning(monkeypatch):
    monkeypatch.setitem(defaults.DEFAULTS, ("int8", 1), {**defaults.DEFAULTS["int8", 1], "epochs": 3, "batch_size": 5})
    monkeypatch.setitem(defaults.BY_DATA, ("fashion-mnist", "int8", 1), dict(epochs=4, b_bp=(7,)))
    monkeypatch.setitem(defaults.FINE_TUNING, ("int8", 1), dict(epochs=6))

    def made(**given):
        config = make_config({"bp_tail": 1, **given})
        return config.epochs, config.batch_size, config.schedules.get("b_bp") == (7,)
    assert made() == (3, 5, False)
    assert made(data="fashion-mnist") == (4, 5, True)
    assert made(data="fashion-mnist", init_from="runs/x") == (6, 5, True)
    assert made(init_from="runs/x", epochs=8) == (8, 5, False)
    assert made(data="fashion-mnist", precision="fp32") == made(precision="fp32") != made()


@pytest.mark.parametrize("data", CHOICES["data"])
@pytest.mark.parametrize("fine_tuning", [False, True])
@pytest.mark.parametrize("precision", SCHEDULES)
@pytest.mark.parametrize("bp_tail", [0, 1, 2, 3, "all"])
def test_all_defaults_are_configurations(precision, bp_tail, data, fine_tuning):
    model = "pointnet" if data in POINT_DATA else "lenet5"
    config = make_config({"model": model, "precision": precision, "bp_tail": bp_tail, "data": data,
                          "init_from": "runs/x" if fine_tuning else ""})
    assert config.epochs and config.batch_size


def test_options_replace_defaults_one_by_one():
    config = make_config({"p_zero": (0, 255), "headroom": (0, 1, 2, 3, 6), "zo_frozen": True,
                          "seed": 2**64 - 1})
    tuned = make_config({})
    assert config.schedules == {**tuned.schedules, "p_zero": (0, 255)}
    assert config.headroom == (0, 1, 2, 3, 6) and config.zo_frozen and config.seed == 2**64 - 1


# Refusals

@pytest.mark.parametrize("name, value, named", [
    ("model", "lenet6", "lenet5"), ("data", "cifar", "fashion-mnist"), ("precision", "int4", "int8"),
    ("loss", "double", "coarse"), ("tail_passes", "first", "both"),
    ("bp_tail", 4, "0 to 3"), ("bp_tail", 7, "0 to 3"), ("bp_tail", -1, "0 to 3"), ("bp_tail", 1.0, "0 to 3"),
    ("epochs", 0, "1 to"), ("epochs", -3, "1 to"), ("epochs", 10**7, "1 to"), ("epochs", True, "1 to"),
    ("batch_size", 0, "1 to 4096"), ("batch_size", -1, "1 to 4096"), ("batch_size", 4097, "1 to 4096"),
    ("seed", -1, "0 to"), ("seed", 2**64, "0 to"), ("seed", None, "0 to"),
    ("validate", -1, "0 to"), ("validate", 10**10, "0 to"),
    ("zo_frozen", 1, "true or false"), ("zo_frozen", "false", "true or false"),
    *(("r_max", (value,), "2^k - 1")
      for value in (0, 2, 4, 6, 8, 16, 32, 62, 64, 127, 255, -1, 7.0, "7", None)),
    ("r_max", (7, 15, 6), "2^k - 1"), ("r_max", (), "2^k - 1"),
    ("p_zero", (256,), "0 to 255"), ("p_zero", (-1,), "0 to 255"), ("p_zero", (0.5,), "0 to 255"),
    ("b_zo", (0,), "1 to 6"), ("b_zo", (7,), "1 to 6"), ("b_bp", (0,), "1 to 7"), ("b_bp", (8,), "1 to 7"),
    ("headroom", (0, 0, 0, 0), "5 numbers"), ("headroom", (0,) * 6, "5 numbers"),
    ("headroom", (), "5 numbers"), ("headroom", (0, 0, 0, 0, 7), "0 to 6"),
    ("headroom", (0, 0, 0, 0, -1), "0 to 6"), ("headroom", ("a",) * 5, "0 to 6"),
    ("learning_rate", 1, "no meaning"),
])
def test_a_bad_value_is_named_with_what_would_do(name, value, named):
    message = refusal({name: value})
    assert "--" + name.replace("_", "-") in message and named in message


@pytest.mark.parametrize("name, value", [
    ("r_max", (1,)), ("r_max", (63,)), ("p_zero", (0,)), ("p_zero", (255,)), ("b_zo", (1,)), ("b_zo", (6,)),
    ("b_bp", (1,)), ("b_bp", (7,)), ("batch_size", 1), ("batch_size", 4096), ("epochs", 1), ("seed", 0)])
def test_the_ends_of_a_range_are_allowed(name, value):
    config = make_config({name: value})
    assert (config.schedules[name] if name in config.schedules else getattr(config, name)) == value


def test_a_frozen_run_with_nothing_to_train():
    assert "--zo-frozen" in refusal({"zo_frozen": True, "bp_tail": 0})


# JSON

@pytest.mark.parametrize("given", [
    {}, {"bp_tail": 0, "seed": 2**64 - 1}, {"zo_frozen": True, "p_zero": (1, 2, 3)},
    {"model": "narrow-lenet", "loss": "coarse", "validate": 7},
    {"model": "pointnet", "data": "modelnet10", "points": 7, "classes": 3, "augment": 2, "tilt": 90}])
def test_json_and_back(given):
    config = make_config(given)
    assert config_from_json(as_json(config), "config.json") == config


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Config) if field.name not in ADDED])
def test_json_without_a_field_is_refused_whatever_its_default(field):
    model = "pointnet" if field in POINT_FIELDS else "lenet5"
    fields = as_json(make_config({"model": model, **data_for(model)}))
    del fields[field]
    with pytest.raises(UserError, match=f"config.json.*{field}"):
        config_from_json(fields, "config.json")


@pytest.mark.parametrize("schedule", SCHEDULES["int8"].keys() - ADDED)
def test_json_without_a_schedule_is_refused(schedule):
    fields = as_json(make_config({}))
    del fields["schedules"][schedule]
    with pytest.raises(UserError, match=f"config.json.*{schedule}"):
        config_from_json(fields, "config.json")


@pytest.mark.parametrize("where", ["fields", "schedules"])
def test_json_with_more_than_a_configuration_is_refused(where):
    fields = as_json(make_config({}))
    (fields if where == "fields" else fields["schedules"])["epoch"] = 3
    with pytest.raises(UserError, match="config.json.*epoch"):
        config_from_json(fields, "config.json")


def test_json_of_wrong_types_is_refused_with_the_name_of_the_file():
    """Every value of the object, lists' elements included, replaced by what does not belong there."""
    fields = as_json(make_config({"validate": 5}))
    refused = 0
    for path in places(fields):
        for value in (*NUMBERS, "", "x", [], {}, [[]], [None], {"a": 1}, float("nan"), 1e300, 10**400):
            changed = json.loads(json.dumps(fields))
            target = changed
            for key in path[:-1]:
                target = target[key]
            if type(target[path[-1]]) is type(value) and target[path[-1]] == value:
                continue
            target[path[-1]] = value
            try:
                config = config_from_json(changed, "config.json")
            except UserError as error:
                assert str(error).startswith("config.json") and "\n" not in str(error)
                refused += 1
            else:   # another value that is allowed there, and taken as it is
                assert as_json(config) == changed
    assert refused > 300


def places(value, path=()):
    """The paths of all that is in a JSON value: keys and indices."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def test_json_of_any_shape_is_refused():
    draw = random.Random(3)

    def anything(depth):
        kind = draw.randrange(6 if depth else 4)
        return [draw.randrange(-9, 99), draw.random(), "text", None][kind] if kind < 4 else \
            [anything(depth - 1) for _ in range(draw.randrange(4))] if kind == 4 else \
            {draw.choice(["model", "schedules", "precision", "x"]): anything(depth - 1) for _ in range(3)}

    for _ in range(500):
        with pytest.raises(UserError, match="config.json"):
            config_from_json(anything(3), "config.json")


# Point clouds

@pytest.mark.parametrize("given, says", [
    ({"model": "pointnet"}, "takes point clouds and --data mnist has none"),
    ({"model": "pointnet", "data": "fashion-mnist"}, "--data modelnet10"),
    ({"model": "lenet5", "data": "modelnet10"}, "takes images"),
    ({"model": "lenet5", "points": 64}, "--points 64: it has no meaning with --model lenet5"),
    ({"model": "lenet5", "tilt": 30}, "--tilt 30"),
    ({"model": "pointnet", "data": "modelnet10", "rotate": 30}, "--rotate 30"),
    ({"model": "pointnet", "data": "modelnet10", "points": -1}, "--points -1"),
    ({"model": "pointnet", "data": "modelnet10", "spin": 181}, "--spin 181"),
])
def test_clouds_and_images_are_not_confused(given, says):
    assert says in refusal(given)


def test_an_image_run_says_nothing_of_clouds():
    assert not set(POINT_FIELDS) & set(as_json(make_config({})))
    assert set(POINT_FIELDS) <= set(as_json(make_config({"model": "pointnet", "data": "modelnet10"})))
