"""Small data sets of point clouds in ModelNet's layout, and short runs on them, for the tests."""
import h5py
import numpy as np

from zo_numpy.__main__ import main

CLASSES = ("ball", "rod", "plate")


def clouds(count, points, seed=0):
    """(count, points, 3) float32 in the unit sphere and labels: balls, upright rods, lying plates."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    directions = draw.normal(size=(count, points, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    stretch = np.array([[1, 1, 1], [0.15, 1, 0.15], [1, 0.15, 1]])[labels]
    return (directions * stretch[:, None]).astype(np.float32), labels.astype(np.uint8)


def write_hdf5(path, data, label):
    with h5py.File(path, "w") as file:
        file["data"], file["label"] = data, label
    return path


def write_modelnet(folder, train=60, test=30, points=32, files=2):
    """A data set in the layout, its training clouds in several files.  Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shape_names.txt").write_text("\n".join(CLASSES) + "\n")
    for part, count, pieces in (("train", train, files), ("test", test, 1)):
        data, label = clouds(count, points, seed=count)
        names = []
        for i, rows in enumerate(np.array_split(np.arange(count), pieces)):
            names.append(f"ply_data_{part}{i}.h5")
            write_hdf5(folder / names[-1], data[rows], label[rows, None])
        (folder / f"{part}_files.txt").write_text("".join(f"data/modelnet/{name}\n" for name in names))
    return folder


def train_options(data, out, *more, epochs=2):
    """The options of a short run of the narrow PointNet: 4 steps an epoch on 60 clouds, the last of 12."""
    return ["train", "--model", "narrow-pointnet", "--data", "modelnet", "--data-dir", str(data), "--points", "16",
            "--batch-size", "16", "--epochs", str(epochs), "--out", str(out), *map(str, more)]


def train(data, out, *more, epochs=2):
    """Trains in this process.  Returns the run's folder."""
    assert main(train_options(data, out, *more, epochs=epochs)) == 0
    return out
