"""A small matrix: the committed INT8 digests, whatever the threads, hash seed, time zone, tiles and SIMD loops are."""
import json

import pytest

from experiments.common import RESULTS
from tests.trust import matrix

METHODS = ["LeNet-5 K=2", "PointNet K=0"]
COMMITTED = RESULTS / "trust_matrix.json"


@pytest.fixture(scope="module")
def expected():
    """The digests of a plain child, which are those of the last full matrix."""
    digests = matrix.cell(options=small())["digests"]
    if COMMITTED.exists():
        assert digests == {name: json.loads(COMMITTED.read_text())["digests"][name] for name in METHODS}
    return digests


def small(**options):
    return {"methods": METHODS, **options}


def test_threads_hash_seed_zone_and_tiles(expected):
    found = matrix.cell(options=small(patch={**matrix.TILES["odd"], **matrix.WORTH}), ZO_NUMPY_THREADS="3",
                        PYTHONHASHSEED="1", TZ="Pacific/Kiritimati", LC_ALL="C")
    assert found["threads"] == "3" and found["time zone"] != ["UTC", "UTC"]
    assert found["digests"] == expected


def test_simd_off(expected):
    try:
        assert matrix.simd_off(options=small())["digests"] == expected
    except matrix.NotAtHand as error:
        pytest.skip(str(error))


def test_a_digest_that_differs_is_named():
    found = {"python": "3", "numpy": "2", "digests": {"a": "0", "b": "1"}, "golden": {"c": ["line 1"], "d": None}}
    assert matrix.judge(found, {"a": "0", "b": "2"})["state"] == "DIFFERS: b, golden run c"


def test_a_child_that_fails_is_not_called_not_at_hand():
    with pytest.raises(matrix.Failed, match="there is no|no attribute"):
        matrix.cell(options=small(patch={"zo_numpy.tiles.NOTHING": 1}))
    with pytest.raises(matrix.NotAtHand):
        matrix.cell(options=small(), LC_ALL="xx_XX.UTF-8")
