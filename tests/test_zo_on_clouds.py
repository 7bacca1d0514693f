"""The candidates of experiments/zo_on_clouds.py step as they say."""
import pytest

from experiments import zo_on_clouds

SMALL = dict(model="narrow-pointnet", data="synthetic-solids", points=16, precision="fp32", bp_tail=1, validate=20,
             limit=48, epochs=2, batch_size=16)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(zo_on_clouds, "COMMON", SMALL)


def test_training_all_parameters_is_what_train_does(monkeypatch):
    monkeypatch.setitem(zo_on_clouds.PARTS, "all", lambda name: True)
    as_it_is = zo_on_clouds.train({})
    assert zo_on_clouds.train(dict(trains="all")) == as_it_is
    others = [zo_on_clouds.train(options)["weights_sha256"] for options in (
        dict(trains="norms"), dict(trains="first"), dict(one_norm=True), dict(zo_frozen=True))]
    assert len({as_it_is["weights_sha256"], *others}) == 5


def test_with_one_norm_both_passes_differ_by_the_weights_alone(monkeypatch):
    losses = []
    monkeypatch.setattr(zo_on_clouds.elastic_zo, "zo_gradient", lambda plus, minus, settings: losses.append(
        (plus, minus)) or 0.0)
    zo_on_clouds.train(dict(one_norm=True, eps=(1e-12,)))   # so small that theta + z is theta
    assert losses and all(plus == minus for plus, minus in losses)
    losses.clear()
    zo_on_clouds.train(dict(one_norm=True))
    assert all(plus != minus for plus, minus in losses)
