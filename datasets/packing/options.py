"""The command line of `python -m datasets.pack`."""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from zo_numpy.files import user_path


class Options(NamedTuple):
    """What a user asks for beside source and output."""

    split: float = 0        # of each class, this part becomes the test part; 0: the source says
    seed: int = 0
    size: tuple = ()        # (rows, columns) of the packed pictures; () as they are
    grey: bool = False
    invert: bool = False
    points: int = 0         # of each cloud; 0: as many as `datasets.load` takes
    scale: bool = False     # clouds are centred and scaled into the unit sphere
    label: str = ""         # the column of a table that holds the labels: its name, or its number from 1
    shape: tuple = ()       # of the picture in a table's row; () a square of one channel


def parse(arguments):
    """(source, out, Options) of a command line. Ends the program with status 2 and one line where it is wrong."""
    parser = Parser(prog="python -m datasets.pack", allow_abbrev=False, description=(
        "Make one .npz file of pictures or point clouds, for python -m zo_numpy train --data OUT.npz. SOURCE: a folder "
        "with a sub-folder a class, of pictures (PNG, JPEG, BMP, GIF), or of meshes or clouds (.off, .npy, .txt, "
        ".xyz), perhaps within train and test; a folder in ModelNet's layout; a folder of IDX files, or one of them; a "
        "table (.csv, .tsv) of labels and pixels, or a folder of two."))
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE")
    add("out", type=Path, metavar="OUT.npz")
    add("--split", type=share, default=0, metavar="SHARE",
        help="set this share of each class aside for the test part, where SOURCE has none: 0.2 is a fifth")
    add("--seed", type=seed, default=0, help="of the split, of the order, and of the points on meshes")
    add("--size", type=size, default=(), metavar="N",
        help="resize all pictures to N x N pixels, or to ROWSxCOLUMNS; proportions are not kept")
    add("--grey", action="store_true", help="average the colours")
    add("--invert", action="store_true",
        help="dark becomes bright: for dark strokes on white, since networks train better on bright ones on black")
    add("--points", type=points, default=0, help="points of each cloud (default: 1024)")
    add("--scale", action="store_true", help="centre each cloud and scale it into the unit sphere")
    add("--label", default="", metavar="COLUMN",
        help="the column of a table that holds the labels: its name, or its number from 1")
    add("--shape", type=shape, default=(), metavar="ROWS,COLUMNS,CHANNELS",
        help="of the picture in a row of a table, or CHANNELS,ROWS,COLUMNS (default: a square of one channel)")
    given = vars(parser.parse_args(arguments))
    source, out = user_path(given.pop("source")), user_path(given.pop("out"))
    if out.suffix != ".npz" or out.is_dir():
        parser.error(f"OUT is {out}: name a file that ends in .npz")
    files = [folder for folder in out.parents if folder.exists() and not folder.is_dir()]
    if files:
        parser.error(f"OUT is {out}: {files[0]} is a file and no folder, choose a place in one")
    return source, out, Options(**given)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}; see python -m datasets.pack --help\n")


def checked(value, allowed, wanted):
    """The value of an option.  Raises what argparse shows unless it is allowed."""
    if not allowed:
        raise argparse.ArgumentTypeError(f"it is {wanted}")
    return value


def numbers(text):
    """The numbers between commas or x; none if the text is something else."""
    return tuple(map(int, re.split("[x,]", text))) if re.fullmatch(r"\d{1,9}([x,]\d{1,9})*", text) else ()


def size(text):
    found = numbers(text)
    found = found * 2 if len(found) == 1 else found
    return checked(found, len(found) == 2 and all(5 <= side <= 4096 for side in found),
                   "N or ROWSxCOLUMNS, each 5 to 4096")


def shape(text):
    found = numbers(text)
    return checked(found, len(found) in (2, 3) and min(found) > 0, "two or three numbers with commas between")


def share(text):
    found = float(text) if re.fullmatch(r"0?\.\d+", text) else 0
    return checked(found, found > 0, "a number between 0 and 1, such as 0.2")


def seed(text):
    return checked(int(text) if text.isdecimal() else 0, text.isdecimal() and int(text) < 2**64,
                   "a whole number from 0 to 2^64 - 1")


def points(text):
    return checked(int(text) if text.isdecimal() else 0, text.isdecimal() and 0 < int(text) <= 10**5,
                   "a whole number from 1 to 100000")
