"""golden diff: the first divergence is named exactly, and whatever may be wrong with a trace is said in one line."""
import hashlib
import json
import pathlib
import random
import shutil

import numpy as np
import pytest

from small_runs import golden_said, refused
from zo_numpy.__main__ import main
from zo_numpy.golden import diff

TRACES = pathlib.Path(__file__).parent / "golden" / "traces"
NARROW, COMPACT = TRACES / "narrow-lenet-int8-k2", TRACES / "lenet5-int8-k1"
RECORDS = diff.read_manifest(NARROW)["records"]
WITH_FILE = [number for number, record in enumerate(RECORDS) if "file" in record]
SAMPLE = sorted(random.Random(20).sample(WITH_FILE, 40))   # of 190 or so
LAST = WITH_FILE[-1]
SOME = next(number for number in WITH_FILE if RECORDS[number]["dtype"] == "int32")


@pytest.fixture
def mine(tmp_path):
    """A port's trace that is right in every byte."""
    return pathlib.Path(shutil.copytree(NARROW, tmp_path / "mine"))


def compared(capsys, mine, reference=NARROW):
    return golden_said(capsys, "diff", reference, mine)


def place(record):
    return "step {step}, phase {phase}, op {op}, tensor {name}: ".format(**record)


def array_of(record, folder=NARROW):
    return np.load(folder / record["file"], allow_pickle=False)


def without_manifest(mine):
    (mine / "manifest.json").unlink()
    return mine


def change_manifest(mine, change):
    manifest = json.loads((mine / "manifest.json").read_text())
    change(manifest)
    (mine / "manifest.json").write_text(json.dumps(manifest))


# Divergences.

def test_a_trace_agrees_with_itself(capsys, mine):
    assert compared(capsys, mine) == (0, [f"{len(RECORDS):,} records compared, 0 differ"])
    assert len(RECORDS) > 150


def test_without_a_manifest_what_has_no_file_is_not_compared(capsys, mine):
    numbers = len(RECORDS) - len(WITH_FILE)
    assert compared(capsys, without_manifest(mine)) == (0, [
        f"{len(WITH_FILE):,} records compared, 0 differ, {numbers} could not be compared (no file and no "
        "manifest.json)"])


@pytest.mark.parametrize("number", SAMPLE)
def test_one_flipped_bit_is_named_first(capsys, mine, number):
    record, draw = RECORDS[number], random.Random(number)
    path = mine / record["file"]
    array, content = array_of(record), bytearray(path.read_bytes())
    bit = draw.randrange(array.nbytes * 8)
    content[len(content) - array.nbytes + bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    index = np.unravel_index(bit // 8 // array.itemsize, array.shape)
    got = np.load(path, allow_pickle=False)[index]
    assert got != array[index]
    inputs = "its inputs agree"
    status, lines = compared(capsys, mine)
    assert (status, lines) == (1, [
        f"first divergence: {place(record)}index {tuple(map(int, index))}: expected {array[index]}, got {got}; 1 of "
        f"{array.size:,} values differ; {inputs}",
        f"{len(RECORDS):,} records compared, 1 differ"])


def test_the_first_divergence_comes_first_and_20_more(capsys, mine):
    for record in RECORDS[SOME:SOME + 40]:
        if "file" in record:
            array = array_of(record)
            np.save(mine / record["file"], array ^ 1)
    status, lines = compared(capsys, mine)
    assert status == 1 and lines[0].startswith("first divergence: " + place(RECORDS[SOME]))
    assert f"{array_of(RECORDS[SOME]).size:,} of " in lines[0]
    differing = sum("file" in record for record in RECORDS[SOME:SOME + 40])
    assert [line.startswith("    then: ") for line in lines[1:21]] == [True] * 20
    assert lines[21:] == [f"    and {differing - 21} more", f"{len(RECORDS)} records compared, {differing} differ"]


def test_whether_the_inputs_agree_is_told_of_each_divergence(mine):
    reader = next(number for number, record in enumerate(RECORDS) if number > SOME and SOME in record["inputs"])
    apart = next(number for number in WITH_FILE if number > reader
                 and not {SOME, reader} & set(RECORDS[number]["inputs"]))
    for number in (SOME, reader, apart):
        np.save(mine / RECORDS[number]["file"], array_of(RECORDS[number]) ^ 1)
    findings = diff.compare(NARROW, mine).findings
    assert [(finding.record, finding.inputs_agree) for finding in findings] == [
        (RECORDS[SOME], True), (RECORDS[reader], False), (RECORDS[apart], True)]
    assert [str(finding).rpartition("; ")[2] for finding in findings] == [
        "its inputs agree", "its inputs differ already", "its inputs agree"]


def test_inputs_that_cannot_be_compared_are_not_said_to_agree(mine):
    reader = next(record for record in RECORDS if record["op"] == "weights" and record["phase"] == "update"
                  and any("file" not in RECORDS[i] for i in record["inputs"]))
    np.save(mine / reader["file"], array_of(reader) ^ 1)
    finding, = diff.compare(NARROW, without_manifest(mine)).findings
    assert (finding.record, finding.inputs_agree) == (reader, None)


@pytest.mark.parametrize("name", ["value", "exponent", "max_abs", "shift"])
def test_a_number_that_differs_is_named(capsys, mine, name):
    number = next(number for number, record in enumerate(RECORDS) if name in record)

    def change(manifest):
        manifest["records"][number][name] += 1
    change_manifest(mine, change)
    status, lines = compared(capsys, mine)
    was = RECORDS[number][name]
    assert status == 1
    assert lines[0] == (f"first divergence: {place(RECORDS[number])}{name}: expected {was}, got {was + 1}; its inputs "
                        "agree")


def test_a_number_and_an_array_that_both_differ_are_both_named(mine):
    number = next(number for number, record in enumerate(RECORDS) if "max_abs" in record)
    np.save(mine / RECORDS[number]["file"], array_of(RECORDS[number]) ^ 1)
    change_manifest(mine, lambda manifest: manifest["records"][number].update(shift=31))
    finding, = diff.compare(NARROW, mine).findings
    assert finding.text.startswith(f"shift: expected {RECORDS[number]['shift']}, got 31; index (0, ")


def test_a_digest_alone_that_differs_is_reported(tmp_path, capsys):
    mine = pathlib.Path(shutil.copytree(COMPACT, tmp_path / "mine"))
    records = diff.read_manifest(COMPACT)["records"]
    number = next(i for i, record in enumerate(records) if "file" not in record and "sha256" in record)
    change_manifest(mine, lambda manifest: manifest["records"][number].update(sha256="0" * 64))
    status, lines = compared(capsys, mine, COMPACT)
    assert status == 1
    assert lines[0] == f"first divergence: {place(records[number])}its sha256 differs; its inputs agree"


def test_a_file_where_the_reference_has_a_digest_is_hashed(tmp_path):
    records = diff.read_manifest(COMPACT)["records"]
    number = next(i for i, record in enumerate(records) if record["phase"] == "plus" and record["op"] == "weights")
    mine = pathlib.Path(shutil.copytree(COMPACT, tmp_path / "mine"))
    init, z = (array_of(record, COMPACT) for record in records
               if record["name"] == "conv1" and record["op"] in ("weights", "perturbation") and "file" in record)
    for array, expected in ((init + z, []), (init - z, ["its sha256 differs"])):
        np.save(mine / "theta.npy", array)
        change_manifest(mine, lambda manifest: manifest["records"][number].update(file="theta.npy"))
        assert [finding.text for finding in diff.compare(COMPACT, mine).findings] == expected


def test_records_of_one_manifest_alone_are_named(capsys, mine):
    def change(manifest):
        manifest["records"][LAST]["name"] = "fc9"
    change_manifest(mine, change)
    status, lines = compared(capsys, mine)
    assert status == 1
    assert lines[0].startswith("first divergence: " + place(RECORDS[LAST]) + "it is missing from the manifest")
    assert lines[1] == (f"    then: {place({**RECORDS[LAST], 'name': 'fc9'})}it is not in the reference; not all of "
                        "its inputs could be compared")


# Files.

def rewritten(change):
    """Damage that replaces a record's file by what np.save makes of change(array)."""
    def damage(path, array):
        np.save(path, change(array))
    return damage


FILES = {   # damage of one file, what is said of it
    "missing": (lambda path, array: path.unlink(), "is missing"),
    "empty": (lambda path, array: path.write_bytes(b""), "is empty"),
    "header only": (lambda path, array: path.write_bytes(path.read_bytes()[:-array.nbytes]), "truncated"),
    "one byte short": (lambda path, array: path.write_bytes(path.read_bytes()[:-1]), "truncated"),
    "three bytes": (lambda path, array: path.write_bytes(path.read_bytes()[:3]), "is no .npy file"),
    "one byte more": (lambda path, array: path.write_bytes(path.read_bytes() + b"\0"), "bytes after its array"),
    "no .npy": (lambda path, array: path.write_bytes(array.tobytes()), "is no .npy file"),
    "an archive": (lambda path, array: path.write_bytes(b"PK\x03\x04" + bytes(100)), "is no .npy file"),
    "a folder": (lambda path, array: path.unlink() or path.mkdir(), "cannot be read"),
    "wrong dtype": (rewritten(lambda array: array.astype(np.int64)), "has dtype int64 instead of int32"),
    "a float": (rewritten(lambda array: array.astype(np.float32)), "has dtype float32 instead of int32"),
    "big-endian": (rewritten(lambda array: array.astype(">i4")), "is big-endian"),
    "wrong shape": (rewritten(lambda array: array[1:]), "has shape ("),
    "flat": (rewritten(lambda array: array.ravel()), "has shape ("),
    "objects": (lambda path, array: np.save(path, np.array([None]), allow_pickle=True), "has dtype object instead of"),
}


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("damage", FILES)
def test_what_is_wrong_with_a_file_is_said(capsys, mine, damage, with_manifest):
    record = RECORDS[SOME]
    change, word = FILES[damage]
    change(mine / record["file"], array_of(record))
    status, lines = compared(capsys, mine if with_manifest else without_manifest(mine))
    assert status == 1 and len(lines) == 2
    assert lines[0].startswith(f"first divergence: {place(record)}{record['file']} ")
    assert word in lines[0]
    assert {other for _, other in FILES.values() if other in lines[0]} == {word}


def test_an_extra_file_is_named(capsys, mine):
    (mine / "notes.txt").write_text("")
    assert compared(capsys, mine) == (1, ["extra file: notes.txt belongs to no record of the reference",
                                          f"{len(RECORDS)} records compared, 0 differ"])


def test_column_major_files_are_read(capsys, mine):
    record = next(record for record in RECORDS if len(record.get("shape", ())) == 4)
    np.save(mine / record["file"], np.asfortranarray(array_of(record)))
    assert compared(capsys, mine)[0] == 0


def as_bin(mine, record, change=lambda content: content):
    (mine / record["file"]).unlink()
    (mine / record["file"]).with_suffix(".bin").write_bytes(change(array_of(record).tobytes()))


def test_bare_bytes_are_taken(capsys, mine):
    for number in WITH_FILE:
        as_bin(mine, RECORDS[number])
    assert compared(capsys, without_manifest(mine))[0] == 0


def test_bare_bytes_may_be_named_in_the_manifest(capsys, mine):
    as_bin(mine, RECORDS[SOME])
    name = RECORDS[SOME]["file"].replace(".npy", ".bin")
    change_manifest(mine, lambda manifest: manifest["records"][SOME].update(file=name))
    assert compared(capsys, mine)[0] == 0


@pytest.mark.parametrize("change, word", [
    (lambda content: b"", "is empty"), (lambda content: content[:-1], "wrong length"),
    (lambda content: content * 2, "wrong length"), (lambda content: content[::-1], "values differ")])
def test_bare_bytes_are_checked(capsys, mine, change, word):
    as_bin(mine, RECORDS[SOME], change)
    status, lines = compared(capsys, mine)
    assert status == 1 and lines[0].startswith("first divergence: " + place(RECORDS[SOME])) and word in lines[0]


# Folders and manifests.

def test_comparing_nothing_is_a_failure(tmp_path, capsys):
    assert "nothing to compare" in refused(capsys, "golden", "diff", NARROW, tmp_path)
    (tmp_path / "notes.txt").write_text("")
    assert "nothing to compare" in refused(capsys, "golden", "diff", NARROW, tmp_path)
    (tmp_path / "manifest.json").write_text('{"format_version": 1, "records": []}')
    assert "nothing to compare" in refused(capsys, "golden", "diff", NARROW, tmp_path)
    assert "nothing to compare" in refused(capsys, "golden", "diff", tmp_path, NARROW)


def test_what_is_no_trace_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "no trace" in refused(capsys, "golden", "diff", tmp_path, NARROW)
    assert "no trace" in refused(capsys, "golden", "diff", tmp_path / "nowhere", NARROW)
    assert "no trace" in refused(capsys, "golden", "diff", tmp_path / "file", NARROW)
    assert "not a folder" in refused(capsys, "golden", "diff", NARROW, tmp_path / "nowhere")
    assert "not a folder" in refused(capsys, "golden", "diff", NARROW, tmp_path / "file")


@pytest.mark.parametrize("damage", ["missing", "one byte short", "wrong dtype", "big-endian"])
def test_a_damaged_reference_is_told_from_a_divergence(capsys, mine, damage):
    FILES[damage][0](mine / RECORDS[SOME]["file"], array_of(RECORDS[SOME]))
    message = refused(capsys, "golden", "diff", mine, NARROW)
    assert message.startswith(f"the reference {mine} is damaged: {RECORDS[SOME]['file']}")


def test_a_reference_with_a_flipped_bit_is_damaged(capsys, mine):
    np.save(mine / RECORDS[SOME]["file"], array_of(RECORDS[SOME]) ^ 1)
    assert "is damaged" in refused(capsys, "golden", "diff", mine, NARROW)


WRONG = {"phase": (1, None, "", "a\nb", "x" * 101, []), "op": (1,), "name": ({},), "step": ("0", True, -1, 1.5, None),
         "inputs": (5, [10**6], [-1], ["0"], [[0]], None, [True]), "dtype": ("O", 8, "i4,i4", "(2,3", [], None, "<i4"),
         "shape": (5, [-1], ["2"], [1.5], None, [True]), "sha256": ("", 7, None, "g" * 64, "0" * 65),
         "file": ("../secret.npy", "/etc/passwd", "a/b.npy", "..", "", "a\\b.npy", "a\0.npy", 3, "a.txt", "\u00e9.npy"),
         "exponent": ("1", 1.5, None, {}), "max_abs": ([[1]], True), "shift": ("x" * 9,)}


@pytest.mark.parametrize("side", ["reference", "mine"])
@pytest.mark.parametrize("name, value", [(name, value) for name in WRONG for value in WRONG[name]])
def test_wrong_types_in_a_manifest_are_refused(capsys, tmp_path, side, name, value):
    number = next(i for i, record in enumerate(RECORDS) if name in record and "file" in record)
    manifest = {"format_version": 1, "records": [dict(record) for record in RECORDS]}
    manifest["records"][number][name] = value
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    pair = (tmp_path, NARROW) if side == "reference" else (NARROW, tmp_path)
    message = refused(capsys, "golden", "diff", *pair)
    assert str(tmp_path / "manifest.json") in message and "is not the manifest of a trace" in message


@pytest.mark.parametrize("content", [
    b"", b"[]", b"null", b"7", b"\xff\xfe", b"{", b"[" * 100_000, b'{"records": 5}', b'{"format_version": 1}',
    b'{"format_version": 1, "records": [7]}', b'{"format_version": 1, "records": {"a": 1}}',
    b'{"format_version": 9, "records": []}', b'{"format_version": 1, "records": [{}]}',
    b'{"format_version": 1, "records": [' + b"9" * 5000 + b"]}"])
def test_other_bytes_are_no_manifest(capsys, tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    for pair in ((tmp_path, NARROW), (NARROW, tmp_path)):
        assert "is not the manifest of a trace" in refused(capsys, "golden", "diff", *pair)


def test_records_with_the_same_key_are_refused(capsys, mine):
    change_manifest(mine, lambda manifest: manifest["records"].append(manifest["records"][0]))
    assert "same step, phase, op and name" in refused(capsys, "golden", "diff", NARROW, mine)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_of_a_manifest_end_in_words(capsys, tmp_path, seed):
    draw = random.Random(seed)
    content = bytearray((NARROW / "manifest.json").read_bytes())
    start = content.index(b'"records"')
    for _ in range(draw.choice((1, 1, 3))):
        content[draw.randrange(start, len(content))] = draw.randrange(256)
    (tmp_path / "manifest.json").write_bytes(content)
    capsys.readouterr()
    status = main(["golden", "diff", str(NARROW), str(tmp_path)])
    err = capsys.readouterr().err
    assert (status, err) == (1, "") or (status == 2 and err.startswith("error: ") and err.count("\n") == 1
                                        and len(err) < 1000)


def test_files_outside_the_folder_are_not_read(tmp_path, capsys, mine):
    secret = tmp_path / "secret.npy"
    np.save(secret, array_of(RECORDS[SOME]))
    assert hashlib.sha256(array_of(RECORDS[SOME]).tobytes()).hexdigest() == RECORDS[SOME]["sha256"]
    change_manifest(mine, lambda manifest: manifest["records"][SOME].update(file="../secret.npy"))
    assert "of the folder" in refused(capsys, "golden", "diff", NARROW, mine)
