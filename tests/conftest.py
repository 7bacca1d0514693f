"""What tests of several files have in common: of `python -m datasets.pack` packing that succeeds and packing that is
refused; of the port in C99 the program.
"""
import pytest

from datasets import pack
from experiments import port
from small_pictures import PIXELS, picture
from zo_numpy.run.own_data import load_own_data


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder with the port's program, its objects and the data of some golden runs."""
    if not port.found_compiler():
        pytest.skip(f"there is no C compiler ({port.CC})")
    folder = tmp_path_factory.mktemp("port")
    port.build(folder)
    port.write_data(folder / "data")
    return folder


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
