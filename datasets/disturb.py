"""A data set of point clouds that changed, for fine-tuning a trained network to it: tipped over or shaken by noise."""

import hashlib

from zo_numpy.clouds import JITTER, shaken, turned


def changed(dataset, tilt, jitter):
    """A `Dataset` whose clouds, training and test, are tipped by `tilt` degrees about the horizontal axis x and have
    noise of `jitter` thousandths."""
    parts = [dataset.train_images, dataset.test_images]
    if tilt:
        parts = [turned(part, tilt, axis=0) for part in parts]
    if jitter:
        parts = [shaken(part, jitter, 0, step, JITTER) for step, part in enumerate(parts)]
    words = (f"tilted by {tilt} degrees" if tilt else "", f"with jitter of {jitter} thousandths" if jitter else "")
    what = " and ".join(word for word in words if word)
    digest = hashlib.sha256(f"{dataset.digest} {what}".encode()).hexdigest()
    return dataset._replace(train_images=parts[0], test_images=parts[1], digest=digest,
                            source=f"{dataset.source}, {what}")
