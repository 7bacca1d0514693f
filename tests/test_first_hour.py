"""A new user's first hour, shortened: every verb, on few pictures and hardly any training."""
from tests.trust import first_hour


def test_a_first_hour(tmp_path):
    assert first_hour.live(tmp_path, first_hour.SHORT).problems == []
