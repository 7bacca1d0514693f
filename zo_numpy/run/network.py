"""A user's own network: a list of layers in JSON, read, and checked before anything runs.

    [{"type": "Conv2d", "name": "conv1", "out_channels": 6, "kernel": 5, "pad": 2},
     {"type": "MaxPool2d", "size": 2}, {"type": "ReLU"}, {"type": "Flatten"},
     {"type": "Linear", "name": "fc", "out_features": 10}]

or an object with such a list as its `layers`, as golden manifests and config.json of runs are. Types and fields are
those of models.py. What the data decide may be left out: in_channels, in_features, a batch norm's channels, the last
layer's out_features; where it stands there it must fit. Which layer may follow which is FOLLOWS: the order of a block
that both precisions have.
"""
import itertools
import re

from .. import models
from ..errors import UserError
from ..files import read_bounded, strict_json, user_path
from ..int8.arith import MAX_TERMS
from .numbers import whole

OWN = ".json"                # ends the name of a user's own network
LARGEST_FILE = 1 << 22       # bytes; a golden manifest lists its records too
MOST_LAYERS = 200
MOST_NUMBERS = 10**8         # weights of a network, and numbers that a layer makes of one sample
KINDS = {kind.__name__: kind for kind in (models.Conv2d, models.Linear, models.MaxPool2d, models.ReLU, models.Flatten,
                                          models.PointLinear, models.BatchNorm, models.MaxOverPoints)}
WIDTH = whole(1, 65536)
FIELDS = {"in_channels": WIDTH, "out_channels": WIDTH, "in_features": whole(1, MOST_NUMBERS), "out_features": WIDTH,
          "channels": WIDTH, "kernel": whole(1, 255), "pad": whole(0, 254), "size": whole(1, 16)}
INFERRED = ("in_channels", "in_features", "channels")
# What may come next, by type; ReLU by what it belongs to.
FOLLOWS = {
    "": ("Conv2d", "PointLinear"),
    "Conv2d": ("MaxPool2d", "ReLU", "Conv2d", "Flatten"),
    "MaxPool2d": ("ReLU", "Conv2d", "Flatten"),
    "ReLU of Conv2d": ("Conv2d", "Flatten"),
    "Flatten": ("Linear",),
    "PointLinear": ("BatchNorm",),   # INT8 passes it over
    "BatchNorm": ("ReLU", "MaxOverPoints"),
    "ReLU of PointLinear": ("PointLinear",),
    "MaxOverPoints": ("ReLU",),
    "ReLU of MaxOverPoints": ("Linear",),
    "Linear": ("ReLU", "Linear"),
    "ReLU of Linear": ("Linear",),
}
BASE = {"MaxPool2d": "Conv2d", "BatchNorm": "PointLinear"}   # whose block it is
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
KEYWORDS = set("""alignas alignof and asm auto bool break case catch char class const constexpr continue decltype
    default delete do double else enum explicit export extern false float for friend goto if inline int long mutable
    namespace new noexcept not nullptr operator or private protected public register restrict return short signed
    sizeof static struct switch template this throw true try typedef typename typeof union unsigned using virtual void
    volatile while xor _alignas _alignof _atomic _bool _complex _generic _imaginary _noreturn""".split())
TAKEN = ("file", "allow_pickle")   # by the function that writes .npz files


def _is_own_model(name):
    """Whether the name of a model is that of a user's own file."""
    return isinstance(name, str) and name.lower().endswith(OWN)


def described(layers):
    """Layers as the JSON objects of a golden manifest."""
    return [{"type": type(layer).__name__, **layer._asdict()} for layer in layers]


def takes_points(fields):
    """Whether the model in options or in the JSON of a configuration, checked or not, takes point clouds."""
    name, layers = fields.get("model"), fields.get("layers")
    if not layers:
        return name in tuple(models.MODELS) and models.takes_points(models.MODELS[name])
    first = layers[0] if isinstance(layers, (list, tuple)) else None
    return isinstance(first, models.PointLinear) or isinstance(first, dict) and first.get("type") == "PointLinear"


def first_difference(layers, others):
    """Where two lists of layers differ first, in words, or "" where they do not."""
    for place, (here, there) in enumerate(itertools.zip_longest(layers, others), 1):
        if here != there:
            return f"layer {place} is {_in_words(here)} here, {_in_words(there)} there"
    return ""


def _in_words(layer):
    if layer is None:
        return "missing"
    sizes = [f"{field} {value}" for field, value in layer._asdict().items() if field != "name"]
    return " ".join([type(layer).__name__, getattr(layer, "name", "")]).strip() + f" ({', '.join(sizes)})" * bool(sizes)


def own_model(given):
    """The options with `--model FILE.json` as the file's name and its `layers`.  Raises UserError."""
    name = given.get("model")
    if name is None:
        return given
    if not _is_own_model(name):
        return {**given, "layers": ()}
    path = user_path(name)
    try:
        found = strict_json(read_bounded(path, LARGEST_FILE))
    except OSError as error:
        raise UserError(f"--model {name} cannot be read ({error.strerror or error}); name a list of layers in JSON, "
                        "such as `python -m zo_numpy model lenet5` prints") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"--model {name} is not JSON ({error or 'nested too deeply'}); name a list of layers, such as "
                        "`python -m zo_numpy model lenet5` prints") from None
    found = found.get("layers") if isinstance(found, dict) else found
    return {**given, "model": path.name, "layers": _read_layers(path.name, found)}


def with_layers(given, name):
    """The options with a user's own network, if they have one, checked.  name: of the model.  Raises UserError."""
    if _is_own_model(name):
        return {**given, "layers": _read_layers(name, given.get("layers"))}
    if name not in tuple(models.MODELS) or given.get("layers"):
        raise UserError(f"--model {name}: choose one of {', '.join(models.MODELS)}, a file FILE.json of your own")
    return given


def _read_layers(name, found):
    """The layers in a JSON list as a tuple; what was left out is None.  Raises UserError naming the layer.

    name: of the model.  found: whatever a user gave, or such a tuple.
    """
    if not isinstance(found, (list, tuple)) or not 0 < len(found) <= MOST_LAYERS:
        raise UserError(f"--model {name} is no list of 1 to {MOST_LAYERS} layers: begin with what `python -m zo_numpy "
                        "model lenet5` prints")
    found = [described([layer])[0] if isinstance(layer, tuple) else layer for layer in found]
    linear = [place for place, fields in enumerate(found, 1)
              if isinstance(fields, dict) and fields.get("type") == "Linear"]
    layers = tuple(_layer(name, place, fields, [place] == linear[-1:]) for place, fields in enumerate(found, 1))
    _check_order(name, layers)
    _check_names(name, layers)
    return layers


def _where(name, place, layer):
    """How messages call a layer."""
    own = getattr(layer, "name", None)
    return f"--model {name}, layer {place} ({type(layer).__name__}{f' {own}' if own else ''})"


def _layer(name, place, fields, last):
    """One layer from its JSON object.  last: whether it is the last Linear, whose width the data decide."""
    where = f"--model {name}, layer {place}"
    if not isinstance(fields, dict):
        raise UserError(f"{where} is no object: write {{\"type\": \"ReLU\"}} or the like")
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"{where} has the type {str(kind)[:40]}: choose one of {', '.join(KINDS)}")
    where += f" ({kind}{' ' + str(fields['name'])[:40] if 'name' in fields else ''})"
    wanted = KINDS[kind]._fields
    if unknown := sorted(fields.keys() - {"type", *wanted}):
        raise UserError(f"{where} has no {unknown[0][:40]}: its fields are {', '.join(('type', *wanted))}")
    for field in wanted:
        value = fields.get(field)
        if value is None and (field in INFERRED or last and field == "out_features"):
            continue
        if field not in fields:
            raise UserError(f"{where} lacks {field}: " + (f"give {FIELDS[field].text}" if field in FIELDS else
                                                         "name it, unlike all others"))
        if field in FIELDS and not FIELDS[field].allows(value):
            raise UserError(f"{where} has the {field} {str(value)[:40]}: give {FIELDS[field].text}")
    return KINDS[kind](**{field: fields.get(field) for field in wanted})


def _check_order(name, layers):
    """Raises UserError where a layer stands at a place that it cannot have."""
    state = ""
    for place, layer in enumerate(layers, 1):
        kind, may = type(layer).__name__, FOLLOWS[state]
        if kind not in may:
            follow = f"after {state}" if state else "first"
            hint = ""
            if not state:
                hint = (": a network begins with weights. On square images a Conv2d with their side as its kernel and "
                        "pad 0, then Flatten, is a fully-connected layer")
            elif kind in ("MaxPool2d", "MaxOverPoints", "BatchNorm") and state.startswith("ReLU"):
                hint = f": {kind} stands before ReLU" + (", which gives the same" if kind != "BatchNorm" else "")
            raise UserError(f"{_where(name, place, layer)} cannot stand {follow}, where {' or '.join(may)} fits{hint}")
        state = f"ReLU of {BASE.get(state, state)}" if kind == "ReLU" else kind
    if state != "Linear":
        raise UserError(f"{_where(name, len(layers), layers[-1])} is the last: end with a Linear that has an output "
                        "for each class")


def _check_names(name, layers):
    """Raises UserError unless each name is good in a C program and unlike all others."""
    seen = {}
    for place, layer in enumerate(layers, 1):
        if "name" not in layer._fields:
            continue
        if not isinstance(layer.name, str) or not NAME.fullmatch(layer.name):
            raise UserError(f"{_where(name, place, layer)[:200]}: its name must be a C identifier, at most 41 of the "
                            "letters A to Z, digits and _, no digit first")
        small = layer.name.lower()
        if small in KEYWORDS or small in TAKEN:
            raise UserError(f"{_where(name, place, layer)}: {layer.name} has a meaning in the programs that weights "
                            f"are exported to; call it {layer.name}_1 or the like")
        if small in seen:
            raise UserError(f"{_where(name, place, layer)} has the name of layer {seen[small]}"
                            + (", but for capital letters" if layer.name != layers[seen[small] - 1].name else "")
                            + ": name it unlike all others")
        seen[small] = place


def check_full_bp(name, layers):
    """Raises UserError where integer backpropagation would sum more products than an int32 can hold (CHOICE 38)."""
    for place, layer in enumerate(layers[1:], 2):   # no error passes through the first
        if isinstance(layer, models.Conv2d) and layer.out_channels * layer.kernel**2 > MAX_TERMS:
            raise UserError(f"{_where(name, place, layer)}: {layer.out_channels:,} x {layer.kernel} x {layer.kernel} "
                            f"products make the error below it in full BP, more than the {MAX_TERMS:,} of which an "
                            "int32 holds any sum: give it fewer channels or a smaller kernel")


def check_shapes(name, layers, shape, classes, precision):
    """Raises UserError, naming the layer and what would fit, unless layers take samples of `shape` to the classes.

    classes: how many, or 0 where that is not known yet.
    """
    weights, shape = 0, tuple(shape)
    if isinstance(layers[0], models.PointLinear) != (len(shape) == 2):
        takes, held, first = ("images", "point clouds", "PointLinear") if len(shape) == 2 else (
            "point clouds", "images", "Conv2d")
        raise UserError(f"{_where(name, 1, layers[0])} takes {takes}, and the data are {held}: begin with {first}, or "
                        "choose another --data")
    for place, layer in enumerate(layers, 1):
        where, width = _where(name, place, layer), shape[-1] if len(shape) < 3 else shape[0]
        for field in INFERRED:
            if getattr(layer, field, None) not in (None, width):
                raise UserError(f"{where} has {field} {getattr(layer, field):,}, and what comes in has {width:,}: give "
                                f"{width}, or leave {field} out")
        _check_sides(where, layer, shape)
        if place == len(layers) and classes and layer.out_features not in (None, classes):
            raise UserError(f"{where} has out_features {layer.out_features:,}, and the data have {classes:,} classes: "
                            f"give {classes}, or leave out_features of the last layer out")
        full = layer._replace(**{field: width for field in INFERRED if field in layer._fields})
        if place == len(layers):
            full = full._replace(out_features=classes or layer.out_features or 1)
        shape = models.output_shape([full], shape)
        if models.has_weight(full):
            weights += models.weight_count(full)
            if precision == "int8" and models.fan_in(full) > MAX_TERMS:
                raise UserError(f"{where} sums {models.fan_in(full):,} products, and an int32 holds {MAX_TERMS:,} for "
                                "certain: make what comes in smaller, or choose --precision fp32")
        if max(weights, models.size(shape)) > MOST_NUMBERS:
            raise UserError(f"{where} brings the network to {weights:,} weights and {models.size(shape):,} numbers a "
                            f"sample: at most {MOST_NUMBERS:,} of either; make it smaller")


def _check_sides(where, layer, shape):
    """Raises UserError where a kernel or a window does not fit into the images."""
    if isinstance(layer, models.Conv2d):
        if layer.pad >= layer.kernel:
            raise UserError(f"{where} has the pad {layer.pad} for a kernel of {layer.kernel}: give at most "
                            f"{layer.kernel - 1}")
        side = min(shape[1:]) + 2 * layer.pad
        if layer.kernel > side:
            raise UserError(f"{where} has a kernel of {layer.kernel}, larger than images of {shape[2]} x {shape[1]} "
                            f"padded by {layer.pad}: give a kernel of at most {side}, or more pad")
    if isinstance(layer, models.MaxPool2d) and layer.size > min(shape[1:]):
        raise UserError(f"{where} has the size {layer.size}, larger than images of {shape[2]} x {shape[1]} that come "
                        f"in: give at most {min(shape[1:])}")
