"""The command that fetches and verifies data sets: image_sources.py and cloud_sources.py say from where.

    python -m datasets.download mnist fashion-mnist [--data-dir DIR] [--offline]

It also knows ModelNet40 (`modelnet40`).
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from datasets import cloud_sources, fashion_mnist, image_sources, mnist
from datasets.store import default_parent
from zo_numpy.errors import UserError
from zo_numpy.files import short, user_path
from zo_numpy.samples import DataError


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}; see python -m datasets.download --help\n")


def main(arguments=None):
    """Fill the cache, as `make data` does. Returns the exit status: 0 only if all that was named is there."""
    try:
        return fill(arguments)
    except KeyboardInterrupt:
        print("error: interrupted; files already fetched whole are kept", file=sys.stderr)
        return 130


def fill(arguments):
    """`main` but for Ctrl-C."""
    specs = {spec.name: spec for spec in (mnist.MNIST, fashion_mnist.FASHION_MNIST)}
    parser = _Parser(prog="python -m datasets.download", description="Fetch and verify data sets.",
                     allow_abbrev=False)
    names = (*specs, "modelnet40")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=names, help=" or ".join(names))
    parser.add_argument("--data-dir", metavar="DIR", type=Path,
                        help="keep each data set in DIR/NAME (default: $ZO_NUMPY_DATA, else datasets/cache)")
    parser.add_argument("--offline", action="store_true", help="only check what is there")
    options = parser.parse_args(arguments)
    announce = partial(print, flush=True)
    try:
        parent = user_path(options.data_dir) if options.data_dir else default_parent()
    except UserError as error:
        parser.error(str(error))
    status = 0
    for name in options.names:
        try:
            if name not in specs:
                cloud_sources.fill_cache(name, parent, options.offline, announce)
                continue
            spec = specs[name]._replace(subset=None)                # the whole or nothing
            dataset = image_sources.obtain(spec, parent, options.offline, announce, must_keep=True)
            announce(f"{spec.title}: {len(dataset.train_labels):,} training and {len(dataset.test_labels):,} "
                     f"test images in {short(parent / name)}, from: {dataset.source}")
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    sys.exit(main())
