"""The options of every command."""
import argparse
import pathlib
import sys

from ..errors import UserError
from ..files import user_path
from ..run.config import BP, CHOICES, LOSSES, MEANINGS, SCHEDULES, option

INSTALLED = "zo-numpy"   # the command of an installed package


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaint on one line and no abbreviated options, which a new option could break."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)
        self.register("type", pathlib.Path, user_path)   # `~` in every path, which no shell replaces in --out=~/x
        self.register("type", int, _whole)

    def error(self, message):
        raise UserError(f"{message} (see `{self.prog} --help`)")


def _whole(text):
    """int, with a complaint in plain words."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def several(kind):
    """A reader of '128,192' -> (128, 192), all of `kind`."""
    def read(text):
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {number}, or several separated by commas") from None
    return read


def _path_text(text):
    """A path as text, with the home folder that `~` names."""
    return str(user_path(text))


def tail(text):
    """'2' -> 2, 'all' -> 'all'."""
    try:
        return text if text == BP else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor {BP!r}") from None


def _add_run_options(parser):
    """The options that decide a run's result.

    The parser's argument_default is SUPPRESS: what is left out does not appear among the parsed options, so that
    config.make_config can tell it from what was given.
    """
    add = parser.add_argument
    losses = "; ".join(f"{precision}: {', '.join(names)}" for precision, names in LOSSES.items())
    add("--model", help=f"{', '.join(CHOICES['model'])} (default lenet5), or a FILE.json of your own (the command "
                        "`model` prints one to begin with)")
    add("--data", help=f"{', '.join(CHOICES['data'])} (default mnist), or a FILE.npz of your own (python -m "
                       "datasets.pack makes one)")
    add("--data-dir", type=pathlib.Path, help="a folder that holds the data set's files")
    add("--offline", action="store_true", help="use no network: the cache, else the embedded subset")
    add("--precision", help=f"{', '.join(CHOICES['precision'])} (default int8)")
    add("--bp-tail", type=tail, metavar="K", help=f"layers trained by backpropagation: 0 is vanilla ZO, {BP} is full "
                                                  "BP (default 2)")
    add("--zo-frozen", action="store_true", help="the control: leave the ZO layers at their initialisation")
    add("--epochs", type=int, help="default: defaults.py has one for each precision, tail and data set")
    add("--batch-size", type=int, help="default: see defaults.py")
    add("--seed", type=int, help="decides every random draw (default 0)")
    add("--validate", type=int, metavar="N", help="hold the last N training samples out and report on them")
    add("--limit", type=int, metavar="N", help="train on the first N training samples only")
    add("--rotate", type=int, metavar="DEG", help="turn every image counter-clockwise by DEG degrees")
    add("--points", type=int, metavar="P", help="points of each cloud (default: those of the network, "
                                                       "1024 of pointnet, and all of a FILE.npz)")
    add("--augment", type=int, metavar="V", help="clouds: train on V variants of each in turn, one an epoch (default "
                                                 "0: as they are)")
    add("--spin", type=int, metavar="DEG", help="of a variant: largest turn about the vertical axis (default 180)")
    add("--noise", type=int, metavar="N", help="of a variant: noise in thousandths of the radius (default 10)")
    add("--tilt", type=int, metavar="DEG", help="tip every cloud, training and test, by DEG degrees (about a level "
                                                "axis)")
    add("--jitter", type=int, metavar="N", help="noise of every cloud, training and test, in thousandths of its radius")
    add("--init-from", metavar="RUN", type=_path_text, help="start from the weights of another run (fine-tuning), or "
                                                            "from a FILE.npz of weights in PyTorch's or Keras's layout")
    add("--queries", type=int, metavar="Q", help="perturbations a step (default 1)")
    add("--loss", help=f"{losses} (default the first)")
    add("--tail-passes", help=f"{', '.join(CHOICES['tail_passes'])}: which forward passes give the tail's gradient")
    add("--tail-scale", help=f"{', '.join(CHOICES['tail_scale'])}, int8: what decides the size of the tail's steps, "
                             "each gradient's own maximum or the largest of late (default: own, and running for "
                             "images in batches of 4 and less); running learns at any batch, down to one sample, "
                             "and allows --b-bp=-8 and up")
    add("--headroom", type=several(int), metavar="H,H,..", help="bits of headroom of a layer's initial weights, int8")
    group = parser.add_argument_group("schedules", "one value, or several that share the epochs in equal parts")
    for precision, schedules in SCHEDULES.items():
        for name, numbers in schedules.items():
            group.add_argument(option(name), type=several(numbers.kind), metavar="N,N,..",
                               help=f"{precision}: {MEANINGS[name]}: {numbers.text}")


def parse(arguments):
    """The command and its options, as an argparse namespace.  Raises UserError."""
    called = pathlib.Path(sys.argv[0]).stem
    parser = _Parser(prog=called if called == INSTALLED else "python -m zo_numpy", description="ElasticZO in pure NumPy.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    train = subparsers.add_parser("train", argument_default=argparse.SUPPRESS,
                                  help="train a network; see its --help for the schedules")
    train.description = ("Trains a network: the last K fully-connected layers by backpropagation, all before them by "
                         "zeroth-order steps. Options left out take defaults tuned on a validation split.")
    _add_run_options(train)
    train.add_argument("--out", type=pathlib.Path, help="the run's folder (default runs/ and a name of the options)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out; start it if there is none")

    evaluate = subparsers.add_parser("evaluate", help="accuracy of a trained run on the test set")
    evaluate.add_argument("run", type=pathlib.Path)
    evaluate.add_argument("--data", help="another data set, or FILE.npz, than the one it was trained on")
    evaluate.add_argument("--rotate", type=int, metavar="DEG", help="turn the images by DEG degrees, unlike training")
    evaluate.add_argument("--data-dir", type=pathlib.Path)
    evaluate.add_argument("--offline", action="store_true")
    evaluate.add_argument("--picture", action="store_true", help="also draw which classes are taken for which, into "
                                                                 "confusion.png of the run, and say the worst")

    runs = subparsers.add_parser("runs", help="a table of the runs below a folder")
    runs.add_argument("folder", type=pathlib.Path, nargs="?", default=pathlib.Path("runs"), help="default runs/")
    compare = subparsers.add_parser("compare", help="some runs in one table, their curves in one picture")
    compare.add_argument("run", type=pathlib.Path, nargs="+", metavar="RUN")
    compare.add_argument("--out", type=pathlib.Path, default=pathlib.Path("compare.png"),
                         help="the picture (default compare.png)")

    predict = subparsers.add_parser("predict", help="classes of pictures (PNG, JPEG, BMP, GIF) of any size, of clouds "
                                                       "(.off, .txt, .xyz), or of .npy")
    predict.add_argument("run", type=pathlib.Path)
    predict.add_argument("images", type=pathlib.Path, nargs="+", metavar="IMAGE")
    predict.add_argument("--invert", action="store_true", help="the ink is dark and the paper bright")
    predict.add_argument("--top", type=int, metavar="N", help="the N likeliest classes, and how many nats each is "
                                                              "behind the first")

    export = subparsers.add_parser("export", help="final weights for another program or a device")
    export.add_argument("run", type=pathlib.Path)
    export.add_argument("--format", choices=("npz", "flat", "c"), default="npz",
                        help="npz (default); flat, what a port reads without a parser; c, see --out")
    export.add_argument("--out", type=pathlib.Path, help="the file to write (default in the run folder); with --format c "
                        "a header, FILE.h, or a new folder for a C program that classifies, trains and tests itself")

    replay = subparsers.add_parser("replay", help="rebuild a vanilla-ZO run's weights from its log of signs alone")
    replay.add_argument("run", type=pathlib.Path)
    replay.add_argument("--out", type=pathlib.Path, help="write the weights to this .npz file")

    golden = subparsers.add_parser("golden", help="vectors that other implementations are compared with, bit for bit")
    actions = golden.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    check = actions.add_parser("check", help="recompute the committed vectors and compare them")
    check.add_argument("--port", type=pathlib.Path, metavar="DIR", help="compare another implementation's answers "
                       "instead, which are in this folder: ops/NAME.json, traces/NAME/, runs/NAME/")
    actions.add_parser("update", help="make the committed vectors anew")
    export_trace = actions.add_parser("export", argument_default=argparse.SUPPRESS,
                                      help="write a trace, every tensor of the first steps of a run, into a folder")
    export_trace.add_argument("folder", type=pathlib.Path)
    export_trace.add_argument("--steps", type=int, help="how many (default 3)")
    export_trace.add_argument("--compact", action="store_true", help="large tensors by digest")
    export_trace.add_argument("--run", type=pathlib.Path, help="the configuration and the data of this run")
    _add_run_options(export_trace)
    export_data = actions.add_parser("export-data", argument_default=argparse.SUPPRESS,
                                     help="write a run's data into one flat file that a port reads without a parser")
    export_data.add_argument("path", type=pathlib.Path, metavar="FILE")
    export_data.add_argument("--run", type=pathlib.Path, help="the configuration and the data of this run")
    _add_run_options(export_data)
    diff = actions.add_parser("diff", help="compare a trace with a reference and name the first divergence")
    diff.add_argument("reference", type=pathlib.Path)
    diff.add_argument("mine", type=pathlib.Path, help="its folder, or - for flat text on standard input")
    text = actions.add_parser("text", help="a trace or an op's cases as flat text, a record a line")
    text.add_argument("path", type=pathlib.Path, help="the folder of a trace, or a file of tests/golden/ops")
    text.add_argument("--hex", type=pathlib.Path, metavar="DIR", help="a file of hexadecimal numbers for each array")
    model = subparsers.add_parser("model", help="print a network as JSON, to begin one of your own for --model with")
    model.add_argument("name", metavar="NAME", help=", ".join(CHOICES["model"]))
    subparsers.add_parser("tour", help="one training step of a tiny network, value by value, and what function did it")
    memory = subparsers.add_parser("memory", argument_default=argparse.SUPPRESS,
                                   help="bytes of a training step by kind of tensor, predicted and measured")
    for name, also in (("--model", ", or a FILE.json"), ("--precision", ""), ("--tail-passes", "")):
        memory.add_argument(name, help=", ".join(CHOICES[name[2:].replace("-", "_")]) + also)
    memory.add_argument("--data", metavar="FILE.npz", help="fit the network to these samples")
    memory.add_argument("--bp-tail", type=tail, metavar="K", help=f"0 is vanilla ZO, {BP} is full BP (default 2)")
    memory.add_argument("--batch-size", type=int, help="default: that of `train`")
    memory.add_argument("--points", type=int, metavar="P", help="points of each cloud (default: those of the network)")
    memory.add_argument("--zo-frozen", action="store_true", help="the control")
    memory.add_argument("--measure", action="store_true", help="also make steps on random data, measure their peak")
    bench = subparsers.add_parser("bench", help="time of a training step, its parts, and the ratios that count")
    bench.add_argument("--batch-size", type=several(int), default=(32, 256), metavar="N,N,..", help="default 32,256")
    bench.add_argument("--rounds", type=int, default=15, help="steps of each configuration (default 15)")
    bench.add_argument("--model", default=argparse.SUPPRESS, help="one network alone, by its name or a FILE.json")
    bench.add_argument("--json", action="store_true", help="one JSON object, for machines")
    return parser.parse_args(arguments)
