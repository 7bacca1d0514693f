"""The configuration of a run: everything that decides its result, checked, with defaults. config_json.py writes it.

Two runs with equal configurations on equal data end in the same bits (INT8) wherever they are made.

A schedule is a list of values that share the epochs of the run in equal parts: epoch e of E (both from 0) uses entry
e * len(values) // E. `--p-zero 128,192,224` therefore means a third of the run each, however long it is.
"""
import dataclasses

from .. import models
from ..errors import UserError, written
from .defaults import POINT_DATA, defaults, tail_scale_of
from .network import check_full_bp, check_shapes, with_layers
from .numbers import Numbers, positive, whole

SCHEDULES = {   # what may follow a schedule, by precision
    "int8": {
        "r_max": Numbers(int, "2^k - 1 with k = 1..6: 1, 3, 7, 15, 31 or 63", (1, 3, 7, 15, 31, 63)),
        "p_zero": whole(0, 255),
        "b_zo": whole(1, 6),
        "b_bp": whole(1, 7),          # with --tail-scale running: LOW_B_BP
    },
    "fp32": {
        "eps": positive(1),
        "eta": positive(10),
        "clip": positive(1e9),
        "eta_tail": positive(10),
    },
}
LOW_B_BP = whole(-8, 7)   # b_bp with a running scale: at 0 and below the largest step is less than a bit on average
MEANINGS = {
    "r_max": "largest magnitude of z", "p_zero": "n of the probability n / 256 that an element of z is zero",
    "b_zo": "bits left of z in an update", "b_bp": "bits left of a tail gradient in an update",
    "eps": "length of the perturbation", "eta": "ZO learning rate", "clip": "largest |g|",
    "eta_tail": "learning rate of the tail",
}
CHOICES = {
    "model": tuple(models.MODELS),
    "data": ("mnist", "fashion-mnist", "mnist-subset", "modelnet10", "modelnet40", "modelnet", "synthetic-solids"),
    "precision": tuple(SCHEDULES),
    "tail_passes": ("second", "both"),
    "tail_scale": ("own", "running"),
}
LOSSES = {"int8": ("integer", "coarse", "float"), "fp32": ("float",)}   # the first is the default
LARGEST_BATCH = 4096   # up to which the integer loss is proven not to overflow
NUMBERS = {"epochs": whole(1, 10**6), "batch_size": whole(1, LARGEST_BATCH), "seed": whole(0, 2**64 - 1),
           "validate": whole(0, 10**9), "limit": whole(0, 10**9), "rotate": whole(0, 359), "queries": whole(1, 64),
           "points": whole(0, 10**5), "classes": whole(0, 1000), "augment": whole(0, 1000), "spin": whole(0, 180),
           "noise": whole(0, 200), "tilt": whole(0, 359), "jitter": whole(0, 200)}
POINT_FIELDS = ("points", "classes", "augment", "spin", "noise", "tilt", "jitter")   # of point clouds alone
BP = "all"   # the tail that is the whole network
OWN = ".npz"   # ends the name of a user's own data, see own_data.py
# Fields and schedules added since zo_numpy 0.1.0, and the value that their absence means: that of every older run. Who
# adds one writes it here. At this value it is not written, so that old folders, vectors and results keep their bytes; a
# default may change later, what is here never does. A schedule's value is a tuple.
ADDED: dict[str, object] = {"tail_scale": "own", "input_shape": (), "layers": ()}


@dataclasses.dataclass(frozen=True)
class Config:
    """See the module's docstring; the command line's --help explains each field."""
    model: str = "lenet5"
    data: str = "mnist"
    precision: str = "int8"
    bp_tail: int | str = 2
    zo_frozen: bool = False
    epochs: int = 0          # 0: as defaults.py says
    batch_size: int = 0
    seed: int = 0
    validate: int = 0        # training samples held out and reported on
    limit: int = 0           # training samples used; 0: all
    rotate: int = 0          # degrees, counter-clockwise, of every image
    points: int = 0          # of each cloud; this and what follows up to `jitter` are of point clouds only
    classes: int = 0         # the data set decides; 0 for images that are not a user's own: as the model says
    augment: int = 0         # variants of the training clouds that the epochs visit in turn; 0: the clouds as they are
    spin: int = 180          # of a variant: largest turn about the vertical axis, degrees
    noise: int = 10          # of a variant: standard deviation of its noise, thousandths of a cloud's radius
    tilt: int = 0            # degrees about a horizontal axis, of every cloud
    jitter: int = 0          # thousandths of the radius, noise of every cloud
    init_from: str = ""      # folder of the run whose weights this one starts from
    queries: int = 1
    loss: str = ""
    tail_passes: str = "second"
    tail_scale: str = "own"
    input_shape: tuple = ()  # (channels, height, width) of images that are a user's own; fitting.py sets it
    layers: tuple = ()       # of a user's own network, whose file's name is `model`; see network.py
    headroom: tuple = ()
    schedules: dict = dataclasses.field(default_factory=dict)

    def at(self, schedule, epoch):
        """The value of a schedule in an epoch, from 0."""
        values = self.schedules[schedule]
        return values[epoch * len(values) // self.epochs]


def option(name):
    """A field's name as the command line has it: batch_size is --batch-size."""
    return "--" + name.replace("_", "-")


def check_number(name, value, numbers):
    """Raises UserError unless `numbers`, a Numbers, allows the value of an option."""
    if not numbers.allows(value):
        raise UserError(f"{option(name)} {value}: choose {numbers.text}")


def is_own(data):
    """Whether the name of a data set is that of a user's own file."""
    return isinstance(data, str) and data.lower().endswith(OWN)


def check_data(data):
    """Raises UserError unless that may be the name of a run's data."""
    if not is_own(data):
        _check_choice("data", data, (*CHOICES["data"], "a file FILE.npz of your own"))


def _check_choice(name, value, choices):
    """Raises UserError unless the value of an option is one of `choices`, texts."""
    if value not in choices:
        raise UserError(f"{option(name)} {value}: choose one of {', '.join(choices)}")


def make_config(given):
    """A checked Config from the options a user gave; what is missing takes its tuned default.

    given: {field or schedule name: value}; schedules and headroom as sequences of numbers.
    Raises UserError naming the option and what it may be.
    """
    for name in (name for name in CHOICES if name not in ("data", "model")):
        _check_choice(name, given.get(name, getattr(Config, name)), CHOICES[name])
    check_data(given.get("data", Config.data))
    given = with_layers(given, given.get("model", Config.model))
    model, precision, bp_tail, data, source = (given.get(name, getattr(Config, name)) for name in (
        "model", "precision", "bp_tail", "data", "init_from"))
    model = models.of_name(model, given.get("layers", ()))
    longest = models.longest_tail(model.layers)
    if not (whole(0, longest).allows(bp_tail) or bp_tail == BP):
        raise UserError(f"--bp-tail {bp_tail}: choose a whole number from 0 to {longest}, or {BP}")
    if bp_tail == BP and precision == "int8":
        check_full_bp(model.name, model.layers)
    points = models.takes_points(model)
    tuned_for = precision, bp_tail, data, points, bool(source), len(models.weight_layers(model.layers))
    batch_size = given["batch_size"] if "batch_size" in given else defaults(*tuned_for)["batch_size"]
    check_number("batch_size", batch_size, NUMBERS["batch_size"])
    given = {"tail_scale": tail_scale_of(precision, bp_tail, points, batch_size), **given}
    running = given["tail_scale"] == "running"
    tuned = defaults(*tuned_for, running)
    options = {"loss": LOSSES[precision][0], **tuned, **given}
    for name, numbers in NUMBERS.items():
        check_number(name, options.get(name, getattr(Config, name)), numbers)
    _check_choice("loss", options["loss"], LOSSES[precision])
    if type(options.get("init_from", "")) is not str:
        raise UserError(f"--init-from {options['init_from']}: give the folder of a run, or a file of weights, .npz")
    _check_frozen(options.get("zo_frozen", False), bp_tail)
    options["input_shape"] = _check_input_shape(options, model)
    _check_points(options, model)
    classes = options.get("classes", 0) or (0 if is_own(data) or models.takes_points(model) else model.classes)
    if model.name not in models.MODELS and (classes or not is_own(data)):   # else fitting.py sees to it
        check_shapes(model.name, model.layers, options["input_shape"] or model.input_shape, classes, precision)
    if running and precision != "int8":
        raise UserError(f"--tail-scale running has no meaning with --precision {precision}: leave it out, or choose "
                        "--precision int8")
    schedules = {name: _check_schedule(name, options.pop(name), LOW_B_BP if running and name == "b_bp" else numbers)
                 for name, numbers in SCHEDULES[precision].items()}
    options["headroom"] = _check_headroom(options.get("headroom", ()), precision, model)
    unknown = set(options) - {field.name for field in dataclasses.fields(Config)}
    if unknown:
        raise UserError(f"{option(sorted(unknown)[0])} has no meaning with --precision {precision}: leave it out")
    return Config(**options, schedules=schedules)


def _check_input_shape(options, model):
    """The shape of a user's own images as a tuple, which is empty for all other data."""
    shape, own = options.get("input_shape", ()), is_own(options.get("data", Config.data))
    sizes = whole(1, 4), whole(1, 4096), whole(1, 4096)
    if len(shape) and not (own and not models.takes_points(model) and len(shape) == len(sizes)
                           and all(map(Numbers.allows, sizes, shape)) and options.get("classes", 0) > 1):
        raise UserError(f"input_shape {', '.join(map(str, shape))}: it is channels, height and width of images of a "
                        "user's own, which have classes")
    return tuple(shape)


def _check_points(options, model):
    """Refuses what has no meaning for a model's kind of samples; sets the number of points where it is left open.

    What a user's own data are is not known yet: fitting.py sees to it.
    """
    data, points = options.get("data", Config.data), models.takes_points(model)
    if not is_own(data) and points != (data in POINT_DATA):
        kind = "point clouds" if points else "images"
        names = [name for name in CHOICES["data"] if (name in POINT_DATA) == points]
        raise UserError(f"--model {model.name} takes {kind} and --data {data} has none: choose another --model, or "
                        f"--data {', '.join(names)}")
    for name in ("rotate",) if points else POINT_FIELDS:
        if name == "classes" and options["input_shape"]:
            continue
        if options.get(name, getattr(Config, name)) != getattr(Config, name):
            raise UserError(f"{option(name)} {options[name]}: it has no meaning with --model {model.name}")
    if points and not options.get("points") and not is_own(data):
        options["points"] = model.input_shape[0]


def _check_frozen(frozen, bp_tail):
    """Refuses the frozen control if there is nothing below the tail, or no tail."""
    if type(frozen) is not bool:
        raise UserError(f"--zo-frozen {frozen}: choose true or false")
    if frozen and bp_tail in (0, BP):
        raise UserError(f"--zo-frozen with --bp-tail {bp_tail} leaves nothing to compare: choose a number for "
                        "--bp-tail, 1 or more")


def _check_schedule(name, values, numbers):
    """The values of a schedule as a tuple of its kind of number."""
    values = tuple(values)
    wrong = [value for value in values if not numbers.allows(value)]
    if wrong or not values:
        raise UserError(f"{option(name)} {wrong[0] if wrong else 'without a value'}: choose {numbers.text}, or several "
                        "separated by commas")
    return tuple(map(numbers.kind, values))


def _check_headroom(headroom, precision, model):
    """The headroom of each layer with weights as a tuple, which is empty where the precision has none."""
    layers = models.weight_layers(model.layers) if precision == "int8" else []
    if len(headroom) != len(layers) or not all(whole(0, 6).allows(h) for h in headroom):
        raise UserError(f"--headroom {written(headroom)}: " + (
            f"give {len(layers)} numbers from 0 to 6, one for each of {', '.join(layer.name for layer in layers)}"
            if layers else f"it has no meaning with --precision {precision}; leave it out"))
    return tuple(headroom)


def training_samples(config, dataset):
    """How many samples a run trains on: the first `limit` of those that are not held out."""
    left = len(dataset.train_labels) - config.validate
    return min(left, config.limit) if config.limit else left


def flat(config):
    """A Config as the options that make it."""
    options = {**dataclasses.asdict(config), **config.schedules}
    del options["schedules"]
    return options
