"""Tests go through what a user could call: what nobody else uses is private, and no test names it."""
import pathlib

import pytest

from private_names import ROOT, named_in, private_names, should_be_private

# Where a test takes the place of the world: of a network, a clock, a file.
SEAMS: set = set()


def test_what_nobody_else_uses_is_private():
    assert [f"{path.relative_to(ROOT)}: {name}" for path, name in should_be_private()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_no_test_names_what_is_private(path):
    private = private_names() - SEAMS
    assert [f"line {line}: {name}" for line, name in named_in(path) if name in private] == []


def test_a_private_name_in_a_test_is_seen(tmp_path):
    package = tmp_path / "zo_numpy"
    (package / "int8").mkdir(parents=True)
    (package / "int8" / "SPEC.md").write_text("`shown`")
    (package / "a.py").write_text("def _hidden():\n    pass\n\n\ndef shown():\n    _hidden()\n\n\ndef helper():\n    pass\n")
    assert private_names(tmp_path) == {"_hidden"}
    assert [name for _, name in should_be_private(tmp_path)] == ["helper"]
    test = pathlib.Path(tmp_path / "test_a.py")
    test.write_text('"""_hidden is fine here."""\nimport a\na._hidden()\nmonkeypatch.setattr("zo_numpy.a._hidden", 1)\n')
    assert [line for line, name in named_in(test) if name == "_hidden"] == [3, 4]
