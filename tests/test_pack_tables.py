"""Packing tables of labels and pixels, as programs on any system write them, and every mistake in them."""
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from small_pictures import rows_of
from small_runs import peak_memory
from test_pack_idx import memory_used

RANDOM = np.random.default_rng(5)
WORDS = [("dog", "cat", "cow")[i % 3] for i in range(30)]
FLAT = RANDOM.integers(0, 256, (30, 64))


def table_text(labels=WORDS, pixels=FLAT, delimiter=",", names="label", end="\n", last=False):
    """Rows of a label and 64 pixels, under a row of names if there are any."""
    columns = [f"pixel{i}" for i in range(len(pixels[0]))]
    rows = [[names, *columns]] if names else []
    rows += [[label, *map(str, row)] for label, row in zip(labels, pixels)]
    return end.join(delimiter.join(row[1:] + row[:1] if last else row) for row in rows) + end


TABLES = {
    "plain": {}, "no names": {"names": ""}, "label last": {"last": True, "names": "Class"},
    "words last, no names": {"last": True, "names": ""}, "semicolons": {"delimiter": ";"}, "tabs": {"delimiter": "\t"},
    "ends of Windows": {"end": "\r\n"}, "ends of old Macs": {"end": "\r"}, "blank rows": {"end": "\n\n"},
    "quotes": {"labels": [f'"{word}"' for word in WORDS]}, "fractions of zero": {"pixels": FLAT.astype(float)},
    "named columns": {"names": "kind"},
}


@pytest.mark.parametrize("form", TABLES.values(), ids=TABLES.keys())
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_programs_write_them(tmp_path, packed, form, encoding):
    (tmp_path / "t.csv").write_bytes(table_text(**form).encode(encoding))
    dataset, _ = packed(tmp_path / "t.csv", "--split", "0.2")
    assert dataset.classes == ("cat", "cow", "dog") and dataset.train_images.shape == (24, 1, 8, 8)
    both = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    rows = rows_of(both, FLAT.reshape(30, 8, 8, 1))
    assert [dataset.classes[labels[row]] for row in rows] == WORDS


def test_two_tables_and_numbers_as_labels(tmp_path, packed):
    (tmp_path / "mine").mkdir()
    numbers = [str(2 + i % 3) for i in range(30)]
    (tmp_path / "mine" / "my_train.csv").write_text(table_text(numbers[:20], FLAT[:20]))
    (tmp_path / "mine" / "my_test.csv").write_text(table_text([f"{n}.0" for n in numbers[20:]], FLAT[20:]))
    dataset, _ = packed(tmp_path / "mine")
    assert dataset.classes == ("2", "3", "4")
    assert_array_equal(dataset.train_images.reshape(20, 64), FLAT[:20])
    assert_array_equal(dataset.test_labels, np.arange(20, 30) % 3)


def test_labels_that_differ_are_never_one_class(tmp_path, packed):
    """Whole numbers beyond the 53 bits of a float, and what only Python takes for a number."""
    words = ["9007199254740993", "9007199254740992.0", "+3", "3.50", "1_2", "12", "1e2", "007"]
    (tmp_path / "t.csv").write_text(table_text((words * 4)[:30]))
    dataset, _ = packed(tmp_path / "t.csv", "--split", "0.2")
    assert set(dataset.classes) == {"9007199254740993", "9007199254740992", "3", "3.50", "1_2", "12", "100", "7"}


def test_numbers_from_0_to_1_are_multiplied(tmp_path, packed):
    (tmp_path / "t.csv").write_text(table_text(pixels=np.round(FLAT / 255, 6)))
    dataset, said = packed(tmp_path / "t.csv", "--split", "0.2")
    assert "multiplied by 255" in said
    assert rows_of(np.concatenate([dataset.train_images, dataset.test_images]), FLAT.reshape(30, 8, 8, 1))


@pytest.mark.parametrize("shape", ["4,45,1", "45,4", "2,10,9", "9,4,5"])
def test_shapes_that_are_no_pictures(tmp_path, not_packed, shape):
    (tmp_path / "t.csv").write_text(table_text(pixels=np.tile(FLAT, 3)[:, :180]))
    more = ["--grey"] if shape == "2,10,9" else []
    assert "5 x 5" in not_packed(tmp_path / "t.csv", "--split", "0.2", "--shape", shape, *more)


@pytest.mark.parametrize("shape, channels_first", [("5,12,3", False), ("3,5,12", True)])
def test_shapes_of_rows(tmp_path, packed, not_packed, shape, channels_first):
    pixels = RANDOM.integers(0, 256, (30, 180))
    (tmp_path / "t.csv").write_text(table_text(pixels=pixels))
    assert "--shape" in not_packed(tmp_path / "t.csv", "--split", "0.2")
    assert "another" in not_packed(tmp_path / "t.csv", "--split", "0.2", "--shape", "6,12,3")
    dataset, _ = packed(tmp_path / "t.csv", "--split", "0.2", "--shape", shape)
    assert dataset.train_images.shape == (24, 3, 5, 12)
    pictures = pixels.reshape(30, 3, 5, 12).transpose(0, 2, 3, 1) if channels_first else pixels.reshape(30, 5, 12, 3)
    assert rows_of(np.concatenate([dataset.train_images, dataset.test_images]), pictures)
    grey, _ = packed(tmp_path / "t.csv", "--split", "0.2", "--shape", shape, "--grey")
    assert grey.train_images.shape == (24, 1, 5, 12)


def test_the_column_of_the_labels_is_named(tmp_path, packed, not_packed):
    text = table_text(names="kind").replace("pixel63", "class")
    (tmp_path / "t.csv").write_text(text)
    for label in ("kind", "KIND", "1"):
        assert packed(tmp_path / "t.csv", "--split", "0.2", "--label", label)[0].classes == ("cat", "cow", "dog")
    (tmp_path / "out" / "mine.npz").unlink()
    assert "has no column sort: its columns are kind, pixel0" in not_packed(tmp_path / "t.csv", "--label", "sort")
    assert "1 to 65" in not_packed(tmp_path / "t.csv", "--label", "66")


def spoil(line, old, new):
    """Changes one line, counted from 1, of the plain table."""
    lines = table_text().split("\n")
    assert re.search(old, lines[line - 1])
    lines[line - 1] = re.sub(old, new, lines[line - 1], count=1)
    return "\n".join(lines)


BAD_TABLES = {
    "NaN": (spoil(5, r"\d+$", "nan"), "line 5 .it does not hold 64 numbers"),
    "nothing": (spoil(6, r"\d+$", ""), "line 6 "), "a word": (spoil(7, r"\d+$", "x"), "line 7 "),
    "too many columns": (spoil(8, "$", ",9"), "line 8 "), "too few columns": (spoil(9, ",[0-9]+$", ""), "line 9 "),
    "above 255": (spoil(10, r"\d+$", "256"), "line 10 "), "negative": (spoil(11, r"\d+$", "-1"), "line 11 "),
    "no label": (spoil(12, "^[a-z]+", ""), "line 12 .it has no label"),
    "a fraction": (spoil(13, r"\d+$", "1.5"), "line 13 .its pixels are neither"),
    "two bad rows": (spoil(13, r"\d+$", "x").replace("dog,", ",", 1), "2 samples cannot be used: .*line 2 .*line 13 "),
    "no square": (table_text(pixels=FLAT[:, 1:]), "63 pixels in a row, which are no square"),
    "a class of one": (spoil(5, "^[a-z]+", "bee"), "class bee has one sample"),
    "only names": (table_text(labels=[], pixels=FLAT)[:400], "0 classes|no square"),
    "names and no rows": (table_text().split("\n")[0], "no rows but the names of its columns"),
    "a quote that does not end": (spoil(5, "^", '"').replace("dog", "dog" * 50000, 1), "line 5 "),
    "one long field": (table_text(delimiter=" " * 3000), "has one column"),
    "a label that is a book": (spoil(5, "^[a-z]+", "7" * 5000), "line 5 .its label has 5,000 characters"),
    "nothing at all": ("\n \n", "holds no rows"),
    "no text": ("\xff\xff".encode("latin-1") * 40, "not text in UTF-8"),
    "zero bytes": ("a,b\0\n" * 40, "or no text"),
    "as many labels as rows": (table_text(labels=[f"w{i}" for i in range(1500)], pixels=np.tile(FLAT, (50, 1))),
                               "holds more than 1,000 different labels: .*--label"),
}


@pytest.mark.parametrize("text, says", BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_tables_that_cannot_be_packed(tmp_path, not_packed, text, says):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert re.search(says, not_packed(tmp_path / "t.csv", "--split", "0.2"))


def test_sorted_tables_are_shuffled(tmp_path, packed):
    order = np.argsort(WORDS, kind="stable")
    (tmp_path / "t.csv").write_text(table_text([WORDS[i] for i in order], FLAT[order]))
    dataset, said = packed(tmp_path / "t.csv", "--split", "0.2")
    assert "those of train and test are shuffled" in said and len(set(dataset.train_labels[-8:])) == 3


@pytest.mark.skipif(peak_memory() is None, reason="the system does not say how much memory was used")
def test_memory_does_not_grow_with_the_source(tmp_path):
    block = RANDOM.integers(100, 256, (30, 200 * 200))
    text = "".join(f"{i % 2}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(block))
    with open(tmp_path / "t.csv", "w") as file:   # 96 MB
        for _ in range(20):
            file.write(text)
    assert memory_used(tmp_path / "t.csv", tmp_path / "out.npz") < 60_000
