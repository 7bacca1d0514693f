"""Digests of short INT8 runs of every method, as this process computes them: one cell of the matrix in matrix.py.

    python -m tests.trust.digests [JSON]

JSON: {"methods": names, all by default; "golden": names of committed runs to be made again;
"patch": {"module.NAME": number} of what may change how long something takes}.
Prints one line of JSON. Needs no package but NumPy.
"""
import hashlib
import importlib
import json
import locale
import os
import sys
import time

import numpy as np

from zo_numpy.app.beside import GOLDEN
from zo_numpy.app.data import at_hand
from zo_numpy.app.methods import method_of
from zo_numpy.golden import check, runs
from zo_numpy.run.config import make_config
from zo_numpy.run.fitting import fitted

IMAGES = dict(model="lenet5", data="mnist-subset", limit=25, validate=20, batch_size=10, epochs=1, seed=3)
CLOUDS = dict(model="pointnet", data="synthetic-solids", points=24, limit=10, validate=6, batch_size=4, epochs=1,
              seed=3)
# Said in full, so that what is tuned later changes no digest: r_max, p_zero, b_bp and headroom of each K.
PINNED = {"r_max": (15,), "b_zo": (1,)}
OF_IMAGES = {0: ((192,), (1,), (0, 0, 0, 0, 0)), 1: ((192,), (4,), (0, 0, 0, 0, 2)), 2: ((224,), (5,), (0, 0, 0, 1, 1)),
             3: ((192,), (4,), (0, 0, 0, 0, 0)), "all": ((0,), (4,), (0, 0, 0, 0, 0))}
OF_CLOUDS = {0: ((192,), (1,), (0,) * 8), 1: ((224,), (4,), (0,) * 7 + (2,)), 2: ((224,), (3,), (0,) * 6 + (2, 2)),
             3: ((128,), (3,), (0,) * 5 + (1, 1, 1)), "all": ((0,), (4,), (0,) * 8)}


def method(data, k, p_zero, b_bp, headroom):
    return dict(data, **PINNED, bp_tail=k, p_zero=p_zero, b_bp=b_bp, headroom=headroom)


METHODS = {
    **{f"LeNet-5 K={k}": method(IMAGES, k, *of) for k, of in OF_IMAGES.items()},
    **{f"PointNet K={k}": method(CLOUDS, k, *of) for k, of in OF_CLOUDS.items()},
}


def digest_of(options):
    """SHA-256 of all that a run says: losses, signs, predictions counted, the digest of the last weights."""
    config = make_config(dict(options, precision="int8"))
    dataset = at_hand(config)
    total = hashlib.sha256()
    for name, line in runs.made_lines(fitted(config, dataset), method_of(config), dataset):
        total.update(f"{name} {line}".encode())
    return total.hexdigest()


def golden_run(name):
    """What of a committed run is not made again, bit for bit: sentences; None where its data are missing."""
    _, differences, skipped = check.check_run(name, GOLDEN, at_hand, method_of)
    return None if skipped else differences


def simd():
    """{feature: on} of what NumPy chooses its loops by, on this processor."""
    core = getattr(np, "_core", None) or np.core
    features = core._multiarray_umath.__cpu_features__
    return {name: features[name] for name in core._multiarray_umath.__cpu_dispatch__ if name in features}


def patch(names):
    for name, number in names.items():
        module, attribute = name.rsplit(".", 1)
        module = importlib.import_module(module)
        if isinstance(getattr(module, attribute), dict):
            number = dict.fromkeys(getattr(module, attribute), number)
        elif not hasattr(module, attribute):
            raise SystemExit(f"error: there is no {name} to set")
        setattr(module, attribute, number)


def main(options):
    locale.setlocale(locale.LC_ALL, "")
    patch(options.get("patch", {}))
    return {"python": sys.version.split()[0], "numpy": np.__version__, "simd": simd(),
            "locale": locale.setlocale(locale.LC_ALL), "time zone": time.tzname, "hash of 'zo'": hash("zo"),
            "threads": os.environ.get("ZO_NUMPY_THREADS"),
            "digests": {name: digest_of(METHODS[name]) for name in options.get("methods", METHODS)},
            "golden": {name: golden_run(name) for name in options.get("golden", ())}}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})))
