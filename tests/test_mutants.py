"""Mutants: every kind is made, each changes one line and compiles; what the tests say of one is told apart."""
import ast
import pathlib

from tests.trust import mutants, mutations

SOURCE = '''"""A text - 1 + 1."""
TILE_BYTES = 1 << 19


def scaled(values, shift, record: int = 3):
    if shift == 0 and record:
        record(shift, values[1:shift])
    values += shift >> 1
    values[0] = -shift
    if not values:
        raise ValueError(f"{shift - 1} is low")
    return np.clip(values, -7, 7) if record else max(shift, 0.5)
'''
EXPECTED = {
    "if shift != 0 and record:", "if shift == 1 and record:", "if shift == -1 and record:", "if shift == 0 or record:",
    "if not (shift == 0 and record):", "pass", "record(values[1:shift], shift)", "record(shift, values[:shift])",
    "record(shift, values[1:])", "values -= shift >> 1", "values += shift << 1", "values[0] = shift",
    "return values if record else max(shift, 0.5)", "return np.clip(values, -7, 7) if record else min(shift, 0.5)",
    "return np.clip(values, 7, 7) if record else max(shift, 0.5)", "if values:",
    "return np.clip(values, -7, 7) if record else max(shift, 1.0)",
    "return max(shift, 0.5) if record else np.clip(values, -7, 7)", "def scaled(values, shift, record: int = 4):"}


def test_each_mutant_changes_one_line_and_compiles():
    found = [mutant for mutant in mutations.mutants_of("scaled.py", SOURCE) if mutations.is_one(mutant, SOURCE)]
    assert EXPECTED <= {mutant.after for mutant in found}
    assert len({mutant.key for mutant in found}) == len(found) > len(EXPECTED)
    for mutant in found:
        changed = [number for number, (one, other) in enumerate(
            zip(SOURCE.splitlines(), mutant.source.splitlines(), strict=True), 1) if one != other]
        assert changed == [mutant.line] and ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(SOURCE))
        assert "TILE_BYTES" not in mutant.before and "A text" not in mutant.before and "is low" not in mutant.after


def test_the_choice_is_the_same_every_time_and_of_every_file():
    once, total = mutants.chosen(200)
    assert once == mutants.chosen(200)[0] and 200 <= len(once) < total
    files = {mutant.file for mutant in once}
    assert {pathlib.Path(file).name for file in files} == {
        "arith.py", "draws.py", "elastic_zo.py", "layers.py", "loss.py", "points.py", "precision.py", "rng.py", "tail.py",
        "tiled.py", "variants.py"}
    assert all((mutants.ROOT / file).exists() for file in files)


def test_a_mutant_is_killed_and_the_original_is_not(tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    (tmp_path / "double.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "tests" / "test_double.py").write_text(
        "from double import double\n\n\ndef test_double():\n    assert double(2) == 4 and double(3) == 6\n")
    assert mutants.tested(tmp_path, ["tests/test_double.py"], 60) is None
    source = (tmp_path / "double.py").read_text()
    monkeypatch.setattr(mutants, "plan", lambda file: [["tests/test_double.py"]] * 3)
    for mutant in mutations.mutants_of("double.py", source):
        record = mutants.judged(tmp_path, mutant)
        assert (record["stage"], record["by"]) == ("own", "test_double.py::test_double")
    assert (tmp_path / "double.py").read_text() == source
    mutant = mutations.Mutant("double.py", 1, "", "", "", "", source + "\n")
    assert mutants.judged(tmp_path, mutant)["by"] is None


def test_survivors_without_a_reason_stand_out():
    some = mutants.chosen(200)[0][:3]
    finished = {some[0].key: {"stage": "own", "by": "x"}, some[1].key: {"stage": None, "by": None}}
    result = mutants.summary(some, 9, finished)
    assert (result["chosen"], result["finished"], result["killed"], result["killed, %"]) == (3, 2, 1, 50.0)
    assert [(mutant["before"], mutant["equivalent because"]) for mutant in result["survivors"]] == [
        (some[1].before, mutants.REASONS.get((some[1].before, some[1].after), ""))]
