"""Packing meshes and clouds: points on the surface of one, even steps of the other, and every mistake in them."""
import io
import re

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from small_clouds import CLASSES, clouds, train, write_modelnet
from small_runs import refused
from zo_numpy.__main__ import main

RANDOM = np.random.default_rng(5)
TETRAHEDRON = "4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
CUBE = ("8 6 0\n" + "".join(f"{x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1))
        + "4 0 1 3 2\n4 4 5 7 6\n4 0 1 5 4\n4 2 3 7 6\n4 0 2 6 4\n4 1 3 7 5\n")


def write_clouds(folder, files):
    """files: suffix and content of the files of class a; class b has tetrahedra."""
    for part in ("train", "test"):
        for name, (suffix, content) in {"a": files, "b": (".off", "OFF\n" + TETRAHEDRON)}.items():
            path = folder / part / name / f"0{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def off(text):
    return ".off", text


@pytest.mark.parametrize("text", ["OFF\n" + CUBE, "OFF" + CUBE, "OFF " + CUBE, "# a cube\noff\n\n" + CUBE,
                                  ("OFF\n" + CUBE).replace("\n", "\r\n"), ("OFF\n" + CUBE).replace("4 0 1", "4  0 1")])
def test_meshes_become_clouds_on_their_surface(tmp_path, packed, text):
    dataset, said = packed(write_clouds(tmp_path / "mine", off(text)), "--scale", "--points", "600")
    cube = dataset.train_images[int(np.flatnonzero(dataset.train_labels == 0)[0])].astype(float)
    assert dataset.train_images.shape == (2, 600, 3) and dataset.preparation == {"points": 600, "scale": True}
    assert abs(np.sqrt((cube**2).sum(axis=1)).max() - 1) < 1e-5 and np.abs(cube.mean(axis=0)).max() < 1e-5
    sides = cube - cube.min(axis=0)
    sides /= sides.max()
    on_side = (np.abs(sides) < 1e-3) | (np.abs(sides - 1) < 1e-3)
    assert on_side.any(axis=1).all()
    for axis in range(3):
        for end in (0, 1):
            there = np.delete(sides[np.abs(sides[:, axis] - end) < 1e-3], axis, axis=1)
            assert 70 < len(there) < 130   # a sixth of 600
            assert np.abs(there.mean(axis=0) - 0.5).max() < 0.1 and np.abs(np.corrcoef(there.T)[0, 1]) < 0.3
    assert "WARNING" not in said   # the points of train and test are others


def test_points_of_clouds_are_taken_at_even_steps(tmp_path, packed):
    cloud = RANDOM.uniform(-0.5, 0.5, (40, 3))
    content = io.BytesIO()
    np.save(content, cloud)
    rows = "\ufeff" + "\r\n".join(f"{x},{y},{z},1,0,0" for x, y, z in cloud)
    for suffix, text in ((".npy", content.getvalue()), (".txt", rows), (".xyz", rows.replace(",", " "))):
        dataset, _ = packed(write_clouds(tmp_path / suffix[1:], (suffix, text)), "--points", "16", *(
            ["--scale"] if suffix == ".xyz" else []))
        found = dataset.train_images[int(np.flatnonzero(dataset.train_labels == 0)[0])]
        taken = cloud[[i * 40 // 16 for i in range(16)]]
        if suffix == ".xyz":
            taken = taken - taken.mean(axis=0)
            taken /= np.sqrt((taken**2).sum(axis=1).max())
        np.testing.assert_allclose(found, taken, atol=1e-6)


BAD = {
    "millimetres": (off("OFF\n" + TETRAHEDRON.replace("1 0 0", "900 0 0")), "it reaches .*; |--scale brings"),
    "no OFF": (off("PLY\n" + TETRAHEDRON), "does not begin with OFF"),
    "cut off": (off("OFF\n" + TETRAHEDRON[:40]), "it is cut off"),
    "a corner that is not there": (off("OFF\n" + TETRAHEDRON.replace("3 0 1 2", "3 0 1 4")), "corner that is not"),
    "a word": (off("OFF\n" + TETRAHEDRON.replace("0 0 1", "0 0 x")), "0.off"),
    "NaN": (off("OFF\n" + TETRAHEDRON.replace("0 0 1", "0 0 nan")), "no area, or a corner is no number"),
    "no surface": (off("OFF\n" + re.sub("1 0 0|0 1 0|0 0 1", "0 0 0", TETRAHEDRON)), "no area"),
    "huge counts": (off("OFF\n999999999 4 6\n"), "it is cut off"),
    "no text": (off(b"\xff\xfe\0"), "0.off"),
    "few points": ((".txt", "0 0 1\n0 1 0\n"), "it has 2 points, 8 are wanted.*--points"),
    "two columns": ((".txt", "0 0\n1 0\n"), "0.txt"),
    "NaN in a text": ((".txt", "0 0 1\n" * 7 + "0 0 nan\n"), "NaN, infinite or"),
    "beyond all measure": ((".xyz", "0 0 1\n" * 7 + "0 0 1e200\n"), "beyond 1e.30"),
    "half a head": ((".off", "OFF\n8\n"), "does not say how many corners"),
    "one point": ((".xyz", "1 0 0\n" * 9), "all its points are one|it reaches"),
    "whole numbers": ((".npy", None), "holds int64 9 x 3"),
}


@pytest.mark.parametrize("files, says", BAD.values(), ids=BAD.keys())
def test_clouds_that_cannot_be_packed(tmp_path, not_packed, files, says):
    if files[1] is None:
        content = io.BytesIO()
        np.save(content, np.zeros((9, 3), np.int64))
        files = files[0], content.getvalue()
    options = ["--scale"] if "all its" in says or "beyond" in says else []
    line = not_packed(write_clouds(tmp_path / "mine", files), "--points", "8", *options)
    assert "2 samples cannot be used" in line and re.search(says, line)


def test_options_of_pictures_are_refused_for_clouds(tmp_path, not_packed):
    write_clouds(tmp_path / "mine", off("OFF\n" + CUBE))
    for option in (["--size", "9"], ["--grey"], ["--invert"], ["--shape", "8,8"]):
        assert f"{option[0]} is for" in not_packed(tmp_path / "mine", *option)


def test_a_set_in_modelnets_layout_is_brought_to_scale(tmp_path, packed, not_packed):
    folder = write_modelnet(tmp_path / "mine")
    same, _ = packed(folder, "--points", "32")
    data, labels = clouds(60, 32, seed=60)
    assert_array_equal(same.train_labels, labels)
    assert_array_equal(same.train_images, data)
    for path in folder.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            file["data"][...] = file["data"][...] * 1000 + 5
    (tmp_path / "out" / "mine.npz").unlink()
    line = not_packed(folder, "--points", "32")
    assert "90 samples cannot be used" in line and "ply_data_train0.h5 cloud 9 (it reaches" in line and "--scale" in line
    dataset, _ = packed(folder, "--points", "32", "--scale")
    found = np.sqrt((dataset.train_images.astype(float) ** 2).sum(axis=2).max(axis=1))
    np.testing.assert_allclose(found, 1, atol=1e-6)
    assert dataset.classes == CLASSES and len(dataset.test_labels) == 30


def test_predict_takes_each_kind_that_can_be_packed(tmp_path, packed, capsys):
    """By the same points: a mesh is the first sample, whose points depend on its number."""
    folder = write_clouds(tmp_path / "mine", off("OFF\n" + CUBE))
    dataset, _ = packed(folder, "--scale", "--points", "40")
    run = tmp_path / "run"
    assert main(["train", "--model", "narrow-pointnet", "--data", str(tmp_path / "out" / "mine.npz"), "--points", "16",
                 "--batch-size", "2", "--epochs", "1", "--out", str(run)]) == 0
    row = dataset.test_images[int(np.flatnonzero(dataset.test_labels == 0)[0])]
    np.save(tmp_path / "row.npy", row)
    np.savetxt(tmp_path / "row.txt", 1000 * row + 5, fmt="%.9g", delimiter=";")
    np.savetxt(tmp_path / "ROW.XYZ", np.hstack([row, row]), fmt="%.9g")
    files = [tmp_path / "row.npy", folder / "test" / "a" / "0.off", tmp_path / "row.txt", tmp_path / "ROW.XYZ"]
    capsys.readouterr()
    assert main(["predict", str(run), *map(str, files), "--top", "2"]) == 0
    found = [line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 4 and len({line.split("   (")[0] for line in found}) == 1, found
    assert "40 points on its surface" in found[1] and all("16 of 40 points" in line for line in found)


@pytest.mark.parametrize("name, content, says", [
    ("x.off", b"OFF\n3 1 0\n0 0 0\n", "cut off"), ("x.txt", b"1,2\n", "column"), ("x.xyz", b"a b c\n", "a"),
    ("x.txt", b"", "no rows"), ("x.off", b"", "OFF"), ("x.txt", b"\0\0", "zero bytes"),
    ("x.txt", b"0 0 0\n" * 3, "(3, 3)"), ("x.xyz", b"0 0 1e200\n0 1 0\n" * 9, "unit sphere"),
    ("x.txt", b"9 9 9\n" * 20, "unit sphere"), ("x.ply", b"ply\n", "x.ply")])
def test_predict_refuses_other_texts_in_one_line(tmp_path, capsys, recwarn, name, content, says):
    run = train(write_modelnet(tmp_path / "data"), tmp_path / "run", epochs=1)
    (tmp_path / name).write_bytes(content)
    assert says in refused(capsys, "predict", run, tmp_path / name) and not recwarn.list
