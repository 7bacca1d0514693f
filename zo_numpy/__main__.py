"""The command line: python -m zo_numpy train | evaluate | predict | export."""
import argparse
import pathlib
import sys

from . import commands
from .config import CHOICES, SCHEDULES
from .errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse, with its complaint on one line."""

    def error(self, message):
        raise UserError(f"{message} (see `{self.prog} --help`)")


def integers(text):
    """'128,192' -> (128, 192)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, or several separated by commas") from None


def add_train(commands_parser):
    parser = commands_parser.add_parser("train", argument_default=argparse.SUPPRESS,
                                        help="train a network; see its --help for the schedules")
    parser.description = ("Trains a network: the last K fully-connected layers by backpropagation, all before them by "
                          "zeroth-order steps. Options left out take defaults tuned on a validation split.")
    add = parser.add_argument
    add("--model", help=f"{', '.join(CHOICES['model'])} (default lenet5)")
    add("--data", help=f"{', '.join(CHOICES['data'])} (default mnist)")
    add("--data-dir", type=pathlib.Path, help="a folder that holds the data set's files")
    add("--offline", action="store_true", help="use no network: the cache, else the embedded subset")
    add("--precision", help=f"{', '.join(CHOICES['precision'])} (default int8)")
    add("--bp-tail", type=int, metavar="K", help="layers trained by backpropagation, 0 is vanilla ZO (default 2)")
    add("--zo-frozen", action="store_true", help="the control: leave the ZO layers at their initialisation")
    add("--epochs", type=int, help="default 20")
    add("--batch-size", type=int, help="default 64")
    add("--seed", type=int, help="decides every random draw (default 0)")
    add("--out", type=pathlib.Path, help="the run's folder (default runs/ and a name made of the options)")
    add("--resume", action="store_true", help="go on with the run in --out; start it if there is none")
    add("--validate", type=int, metavar="N", help="hold the last N training samples out and report on them")
    add("--loss", help=f"{', '.join(CHOICES['loss'])} (default integer)")
    add("--tail-passes", help=f"{', '.join(CHOICES['tail_passes'])}: which forward passes give the tail's gradient")
    add("--headroom", type=integers, metavar="H,H,..", help="bits of headroom of each layer's initial weights")
    group = parser.add_argument_group("schedules", "one value, or several that share the epochs in equal parts")
    for name, allowed in SCHEDULES["int8"].items():
        group.add_argument("--" + name.replace("_", "-"), type=integers, metavar="N,N,..", help=allowed.text)


def parse(arguments):
    parser = Parser(prog="python -m zo_numpy", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    add_train(subparsers)

    evaluate = subparsers.add_parser("evaluate", help="accuracy of a trained run on the test set")
    evaluate.add_argument("run", type=pathlib.Path)
    evaluate.add_argument("--data", help="another data set than the one it was trained on")
    evaluate.add_argument("--data-dir", type=pathlib.Path)
    evaluate.add_argument("--offline", action="store_true")

    predict = subparsers.add_parser("predict", help="classes of images: 28 x 28 PNG, or .npy of uint8")
    predict.add_argument("run", type=pathlib.Path)
    predict.add_argument("images", type=pathlib.Path, nargs="+", metavar="IMAGE")
    predict.add_argument("--invert", action="store_true", help="the ink is dark and the paper bright")

    export = subparsers.add_parser("export", help="final weights for another program or a device")
    export.add_argument("run", type=pathlib.Path)
    export.add_argument("--format", choices=("npz", "c"), default="npz")
    export.add_argument("--out", type=pathlib.Path, help="the file to write (default in the run folder)")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Runs one command.  Returns the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        options = vars(parse(arguments))
        return getattr(commands, options.pop("command"))(**options) or 0
    except (UserError, commands.DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; free some space or choose a folder that can be written",
              file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
