"""What the tests of `python -m datasets.pack` have in common: packing that succeeds, and packing that is refused."""
import pytest

from datasets import pack
from small_pictures import PIXELS, picture
from zo_numpy.run.own_data import load_own_data


@pytest.fixture
def packed(tmp_path, capsys):
    """packed(source, *options) packs and returns (the data set read again, what was said)."""
    def run(source, *options):
        capsys.readouterr()
        status = pack.main([str(source), str(tmp_path / "out" / "mine.npz"), *map(str, options)])
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.npz"]
        return load_own_data(tmp_path / "out" / "mine.npz", announce=lambda line: None), said.out
    return run


@pytest.fixture
def not_packed(tmp_path, capsys):
    """not_packed(source, *options) checks that packing fails in one line and leaves nothing; returns the line."""
    def run(source, *options, out="out/mine.npz"):
        capsys.readouterr()
        try:
            status = pack.main([str(source), str(tmp_path / out), *map(str, options)])
        except SystemExit as stop:
            status = stop.code
        said = capsys.readouterr()
        assert status == 2 and said.err.startswith("error: ") and said.err.count("\n") == 1
        assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
        return said.err
    return run


@pytest.fixture
def folder(tmp_path):
    """Four samples in each of the classes 2, 10 and cat, as PNG."""
    for i in range(12):
        picture(tmp_path / "mine" / ("2", "10", "cat")[i % 3] / f"{i}.png", PIXELS[i])
    return tmp_path / "mine"
