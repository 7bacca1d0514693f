"""LeNet-5 and PointNet as plain lists of layers, shared by both precisions.

A layer is a few numbers and no arrays: parameters live in an ordered mapping {name: array} that is passed to every
op. Nothing here computes. Parameter order, which digests and the random streams depend on, is the order of the list.
"""
import functools
import math
from typing import NamedTuple


class Conv2d(NamedTuple):
    """(N, in_channels, H, W) -> (N, out_channels, H + 2 pad - kernel + 1, W + 2 pad - kernel + 1), stride 1.

    The kernel is square, `pad` pixels of 0 stand around the image.
    """
    name: str
    in_channels: int
    out_channels: int
    kernel: int
    pad: int

    @property
    def weight_shape(self):
        return (self.out_channels, self.in_channels, self.kernel, self.kernel)


class Linear(NamedTuple):
    """(N, in_features) -> (N, out_features)."""
    name: str
    in_features: int
    out_features: int

    @property
    def weight_shape(self):
        return (self.out_features, self.in_features)


class MaxPool2d(NamedTuple):
    """(N, C, H, W) -> (N, C, H // size, W // size); windows do not overlap, a rest of H and W is dropped."""
    size: int


class ReLU(NamedTuple):
    """Elementwise max(0, x)."""


class Flatten(NamedTuple):
    """(N, C, H, W) -> (N, C H W), in C order over (C, H, W)."""


class PointLinear(NamedTuple):
    """(N, P, in_channels) -> (N, P, out_channels): one linear layer that all points share (a shared MLP), no bias."""
    name: str
    in_channels: int
    out_channels: int

    @property
    def weight_shape(self):
        return (self.out_channels, self.in_channels)


class BatchNorm(NamedTuple):
    """(N, P, channels), each channel normalised over batch and points, then scaled and shifted by what is learned.

    FP32 alone has it. INT8 passes it over: requantisation rescales every layer as it is.
    """
    name: str
    channels: int


class MaxOverPoints(NamedTuple):
    """(N, P, C) -> (N, C), the largest value of each channel: the order of the points does not matter."""


class Model(NamedTuple):
    """A network: its name, the shape of one input sample, the number of classes, and its layers in order.

    The shape and the number of classes are defaults: a run may have others (`of_run`).
    """
    name: str
    input_shape: tuple
    classes: int
    layers: tuple


LENET5 = Model("lenet5", (1, 28, 28), 10, (
    Conv2d("conv1", 1, 6, kernel=5, pad=2), MaxPool2d(2), ReLU(),
    Conv2d("conv2", 6, 16, kernel=5, pad=2), MaxPool2d(2), ReLU(), Flatten(),
    Linear("fc1", 784, 120), ReLU(),
    Linear("fc2", 120, 84), ReLU(),
    Linear("fc3", 84, 10),
))

# LeNet-5 in miniature: small enough for every tensor of every step to be kept as a golden vector.
NARROW_LENET = Model("narrow-lenet", (1, 28, 28), 10, (
    Conv2d("conv1", 1, 2, kernel=5, pad=2), MaxPool2d(2), ReLU(),
    Conv2d("conv2", 2, 3, kernel=5, pad=2), MaxPool2d(2), ReLU(), Flatten(),
    Linear("fc1", 147, 16), ReLU(),
    Linear("fc2", 16, 12), ReLU(),
    Linear("fc3", 12, 10),
))


def pointnet(name, points, classes, shared, connected):
    """PointNet without its transformation networks (Qi et al., arXiv 1612.00593).

    points, classes: see `Model`.  shared: the widths of the shared MLP; the maximum over the points is taken
    after its last layer.  connected: the widths of the linear layers between that maximum and the classes.
    """
    layers = []
    for i, sizes in enumerate(zip((3, *shared), shared), 1):
        pooled = (MaxOverPoints(),) if i == len(shared) else ()
        layers += [PointLinear(f"mlp{i}", *sizes), BatchNorm(f"norm{i}", sizes[1]), *pooled, ReLU()]
    widths = (shared[-1], *connected, classes)
    for i, sizes in enumerate(zip(widths, widths[1:]), 1):
        layers += [Linear(f"fc{i}", *sizes), ReLU()]
    return Model(name, (points, 3), classes, tuple(layers[:-1]))   # no ReLU after the last


POINTNET = pointnet("pointnet", 1024, 40, (64, 64, 64, 128, 1024), (512, 256))
# PointNet in miniature, as NARROW_LENET is of LeNet-5.
NARROW_POINTNET = pointnet("narrow-pointnet", 64, 10, (4, 4, 4, 6, 16), (12, 8))

MODELS = {model.name: model for model in (LENET5, NARROW_LENET, POINTNET, NARROW_POINTNET)}


def takes_points(model):
    """Whether a model's samples are point clouds, (points, 3), and not images."""
    return len(model.input_shape) == 2


def of_name(name, layers=()):
    """The model of a name, or of a user's own layers, as it is before it meets its data."""
    if not layers:
        return MODELS[name]
    like = POINTNET if isinstance(layers[0], PointLinear) else LENET5
    return Model(name, like.input_shape, like.classes, tuple(layers))


def of_run(config):
    """The model of a run, fitted to the points or the pixels of its samples and to its classes, as its Config says."""
    model = of_name(config.model, config.layers)
    points, shape = ((config.points, 3) if config.points else ()), config.input_shape
    return fitted(model, (points if takes_points(model) else shape) or model.input_shape,
                  config.classes or model.classes)


@functools.lru_cache(maxsize=8)
def fitted(model, input_shape, classes):
    """A model for samples of another shape and another number of classes: the layers that see them are as wide."""
    layers, shape = [], input_shape
    for i, layer in enumerate(model.layers, 1):
        if isinstance(layer, Conv2d):
            layer = layer._replace(in_channels=shape[0])
        elif isinstance(layer, PointLinear):
            layer = layer._replace(in_channels=shape[1])
        elif isinstance(layer, BatchNorm):
            layer = layer._replace(channels=shape[1])
        elif isinstance(layer, Linear):
            layer = layer._replace(in_features=shape[0])
            if i == len(model.layers):
                layer = layer._replace(out_features=classes)
        layers.append(layer)
        shape = output_shape([layer], shape)
    return Model(model.name, input_shape, classes, tuple(layers))


def check_point_block(block, *norm):
    """Raises ValueError unless a block on points is what tiled.py makes of one: PointLinear, `norm`, perhaps
    MaxOverPoints, and ReLU."""
    kinds = [type(layer) for layer in block]
    if kinds not in ([PointLinear, *norm, ReLU], [PointLinear, *norm, MaxOverPoints, ReLU]):
        raise ValueError(f"a block on points of {', '.join(kind.__name__ for kind in kinds)}: it must be "
                         f"{', '.join(kind.__name__ for kind in (PointLinear, *norm))}, with or without MaxOverPoints, "
                         "and ReLU; for others extend tiled.py of both precisions")


def integer_layers(layers):
    """The layers that INT8 has: all but batch norm (CHOICE 34)."""
    return tuple(layer for layer in layers if not isinstance(layer, BatchNorm))


def has_weight(layer):
    """Whether a layer has a weight tensor: one that is multiplied into its input, as batch norm has none."""
    return isinstance(layer, (Conv2d, Linear, PointLinear))


def weight_layers(layers):
    """The layers with a weight tensor, in parameter order."""
    return [layer for layer in layers if has_weight(layer)]


def after_relu(layers):
    """Of each layer with a weight tensor, in order, whether a ReLU stands right before it."""
    return [i > 0 and isinstance(layers[i - 1], ReLU) for i, layer in enumerate(layers) if has_weight(layer)]


def fan_in(layer):
    """How many products are summed into one output of the layer."""
    _, *summed = layer.weight_shape
    return size(summed)


def weight_count(layer):
    """How many weights the layer has, biases not among them."""
    return layer.weight_shape[0] * fan_in(layer)


def size(shape):
    """How many numbers an array of this shape holds."""
    return math.prod(shape)


def output_shape(layers, sample_shape):
    """The shape of what a list of layers makes of one sample of `sample_shape`."""
    shape = tuple(sample_shape)
    for layer in layers:
        match layer:
            case Conv2d():
                shape = (layer.out_channels, *(side + 2 * layer.pad - layer.kernel + 1 for side in shape[1:]))
            case Linear():
                shape = (layer.out_features,)
            case PointLinear():
                shape = (shape[0], layer.out_channels)
            case MaxOverPoints():
                shape = shape[1:]
            case MaxPool2d():
                shape = (shape[0], *(side // layer.size for side in shape[1:]))
            case Flatten():
                shape = (size(shape),)
    return shape


def products(layers, sample_shape):
    """How many products of numbers a list of layers forms for one sample."""
    total, shape = 0, sample_shape
    for layer in layers:
        shape = output_shape([layer], shape)
        total += size(shape) * fan_in(layer) if has_weight(layer) else 0
    return total


def blocks(layers):
    """Cuts a list of layers into blocks: a layer with weights and the weightless ones that follow it.

    A block is what INT8 requantises once, at its end. LeNet-5 has five.
    Raises ValueError if the list begins with a layer without weights.
    """
    if layers and not has_weight(layers[0]):
        raise ValueError(f"the network begins with {layers[0]!r}: its first layer must have weights")
    cut = []
    for layer in layers:
        if has_weight(layer):
            cut.append([])
        cut[-1].append(layer)
    return cut


def _tail_starts(layers):
    """The indices of the linear layers where a tail may begin: no other kind of weights comes after them."""
    starts = []
    for i, layer in enumerate(layers):
        if isinstance(layer, Linear):
            starts.append(i)
        elif has_weight(layer):
            starts = []
    return starts


def longest_tail(layers):
    """How many linear layers the model ends in: the largest K."""
    return len(_tail_starts(layers))


def split_tail(layers, bp_tail):
    """Splits a model into the layers trained by ZO and the tail trained by BP (ElasticZO's partition).

    bp_tail: K, the number of trailing fully-connected layers in the tail; 0 is vanilla ZO, "all" full BP.
    Returns (head, tail), two tuples of layers whose sum is `layers`.
    Raises ValueError unless the model ends in at least K linear layers.
    """
    if bp_tail == "all":
        return (), layers
    if not 0 <= bp_tail <= longest_tail(layers):
        raise ValueError(f"a tail of {bp_tail} layers: this model's may have 0 to {longest_tail(layers)}")
    cut = _tail_starts(layers)[-bp_tail] if bp_tail else len(layers)
    return layers[:cut], layers[cut:]
