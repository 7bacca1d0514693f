"""Candidates for ZO at small batches: what each changes in a step, and rows that are trained once."""
import json

import pytest

from experiments import common, zo_small_batch
from small_runs import ROOT


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The experiment on a few images, one seed; its results in a folder of their own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(zo_small_batch, "SEEDS", (1,))
    monkeypatch.setattr(zo_small_batch, "COMMON", dict(data="mnist-subset", model="narrow-lenet", validate=20, limit=64,
                                                       epochs=1, tail_scale="running"))
    return tmp_path


def test_g_is_zero_below_a_share_of_the_mean_of_the_steps_before():
    still = zo_small_batch.Stillness(8)   # half of the mean
    assert still.gradient(6400, 0) == 1   # no mean yet: 0
    assert still.sum >> zo_small_batch.MEMORY == 100
    assert still.gradient(0, 50) == -1 and still.gradient(48, 0) == 0 and still.gradient(0, 48) == 0
    assert still.gradient(7, 7) == 0 and zo_small_batch.Stillness(0).gradient(1, 0) == 1
    assert zo_small_batch.Stillness(0).gradient(3, 3) == 0


def test_candidates_end_in_other_weights_and_those_that_change_nothing_in_the_same(place):
    def digest(**options):
        return zo_small_batch.train(dict(bp_tail=1, batch_size=8, seed=1, **options))["weights_sha256"]

    as_it_is = digest()
    assert digest(still=0) == digest(b_zo=1) == as_it_is   # by this script's own step, and by that of `train`
    others = [digest(**options) for options in (dict(still=16), dict(b_zo=0), dict(b_zo=-1), dict(p_zero=(248,)),
                                                dict(queries=2), dict(zo_frozen=True))]
    assert len({as_it_is, *others}) == 7


def test_rows_are_trained_once_and_shown_beside_their_control(place, monkeypatch, capsys):
    monkeypatch.setattr(zo_small_batch, "CANDIDATES", {"frozen": dict(zo_frozen=True), "still 8": dict(still=8)})
    monkeypatch.setattr("sys.argv", ["zo_small_batch", "--only", "k1-b8"])
    assert zo_small_batch.main() == 0
    rows = json.loads((place / "zo_small_batch.json").read_text())["rows"]
    assert set(rows) == {"k1-b8 frozen, seed 1", "k1-b8 still 8, seed 1"}
    gain = 5 * (rows["k1-b8 still 8, seed 1"]["correct"] - rows["k1-b8 frozen, seed 1"]["correct"])   # of 20 images
    assert f"{gain:+.2f} (one seed) over the control" in capsys.readouterr().out
    monkeypatch.setattr(zo_small_batch, "train", None)
    assert zo_small_batch.main() == 0
