"""Golden cases of a whole training step of tiny networks, and of the digest of weights."""
import numpy as np

from ... import models
from ...int8 import variants
from ...int8.elastic_zo import Settings
from ...int8.precision import clip_for_zo
from ...models import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from ...run.checkpoint import digest
from ...run.network import described
from .common import Case, Op, int8, integers, layers_from, made_up, quantised, uint8
from .random import weights_of

SETTINGS = ("r_max", "p_zero", "b_zo", "b_bp", "r_limit", "loss")


def train_step_of(inputs, parameters):
    model = models.Model("", (), 0, layers_from(parameters["layers"]))
    layers = models.weight_layers(model.layers)
    weights = {layer.name: quantised(weight) for layer, weight in zip(layers, inputs["weights"], strict=True)}
    classes = layers[-1].weight_shape[0]
    variant = variants.Variant(frozen=bool(parameters["frozen"]), tail_passes=parameters["tail_passes"])
    loss_plus, loss_minus, g = variants.train_step(
        model, parameters["bp_tail"], weights, uint8(inputs["images"]),
        integers(inputs["labels"], np.uint8, 0, classes - 1), parameters["seed"], parameters["step"],
        Settings(**{name: parameters[name] for name in SETTINGS}), variant=variant)
    return {"loss_plus": loss_plus, "loss_minus": loss_minus, "g": g,
            "weights": [weight.data.tolist() for weight in weights.values()]}


CONVOLUTIONAL = ((1, 4, 4), (
    Conv2d("conv1", 1, 2, kernel=3, pad=1), MaxPool2d(2), ReLU(), Flatten(),
    Linear("fc1", 8, 5), ReLU(), Linear("fc2", 5, 3)))
FULLY_CONNECTED = ((6,), (Linear("fc1", 6, 5), ReLU(), Linear("fc2", 5, 4), ReLU(), Linear("fc3", 4, 3)))


def _step_case(comment, network, bp_tail, number, batch=2, largest=90, exponent=-6, **given):
    shape, layers = network
    parameters = dict(layers=described(layers), bp_tail=bp_tail, seed=0, step=0, r_max=7, p_zero=64, b_zo=1, b_bp=4,
                      r_limit=7, loss="integer", tail_passes="second", frozen=0) | given
    layers = models.weight_layers(layers)
    bounds = [127 - parameters["r_limit"]] * (len(layers) - bp_tail) + [127] * bp_tail
    weights = [{"data": made_up(number + i, layer.weight_shape, min(largest, bound)), "exponent": exponent - i}
               for i, (layer, bound) in enumerate(zip(layers, bounds, strict=True))]
    images = (np.array(made_up(number + 9, (batch, *shape))) + 128).tolist()
    return Case(comment, {"images": images, "labels": [2, 0, 1][:batch], "weights": weights}, parameters)


TRAIN_STEP = Op(
    "One step of ElasticZO-INT8 on a batch: images are unsigned pixels, bp_tail is the number of trailing linear "
    "layers trained by backpropagation, the others are trained by ZO; with frozen = 1 they are left alone and both "
    "losses are that of the one pass made. tail_passes: second (the tail's gradient is that of the pass at theta - "
    "z) or both.",
    train_step_of,
    {"ZNotReplayed": "The step is not in the counter: every step draws the z of step 0.",
     "TensorIndex": "Tensors are counted from 1 instead of 0.",
     "TensorsReversed": "Tensors are numbered from the last layer.",
     "ZoSignInverted": "The ZO layers are updated uphill.",
     "UpdatedAtZero": "g = 0 updates as g = 1 does.",
     "WeightsNotRestored": "ZO layers are updated from theta - z.",
     "TailPerturbed": "The tail is perturbed and updated by ZO too.",
     "OnePassOnly": "The step of the tail with both passes is that of the second alone.",
     "FirstPassGradient": "The tail's gradient is that of the pass at theta + z.",
     "TailSignInverted": "The tail is updated uphill.",
     "UpdateBeforeError": "A layer of the tail is updated before the error passes through it.",
     "TailNeverUpdated": "The tail keeps its weights.",
     "ZoNeverUpdated": "The ZO layers keep their weights.",
     "FrozenIgnored": "A frozen run trains its ZO layers.",
     "TailClippedToZoRange": "The tail's weights are clipped to +-(127 - r_limit) as the ZO layers' are.",
     "SignedPixels": "Pixels are read as signed 8-bit numbers."},
    [_step_case(f"a convolution and two linear layers, K = {k}", CONVOLUTIONAL, k, 200 + 10 * k) for k in range(3)]
    + [_step_case(f"three linear layers, K = {k}", FULLY_CONNECTED, k, 240 + 10 * k, batch=3) for k in range(4)]
    + [_step_case("batch 1", CONVOLUTIONAL, 1, 290, batch=1, seed=5),
       _step_case("step 77 of another seed", CONVOLUTIONAL, 1, 300, step=77, seed=2**63 + 1),
       _step_case("both passes", CONVOLUTIONAL, 1, 310, tail_passes="both", b_bp=7),
       _step_case("both passes, two layers", FULLY_CONNECTED, 2, 320, tail_passes="both", b_bp=5, step=2),
       _step_case("frozen", CONVOLUTIONAL, 1, 330, frozen=1),
       _step_case("frozen, two layers", CONVOLUTIONAL, 2, 340, frozen=1, step=3),
       _step_case("the coarse loss", CONVOLUTIONAL, 0, 350, loss="coarse", exponent=-4, r_max=31, r_limit=31),
       _step_case("the coarse loss of tiny logits: equal losses, g 0", CONVOLUTIONAL, 1, 363, loss="coarse",
                 exponent=-7, b_bp=7, r_max=31, r_limit=31),
       _step_case("weights at the ends of their range", FULLY_CONNECTED, 1, 371, largest=127, r_max=3, r_limit=3,
                 b_zo=2, b_bp=7, step=1),
       _step_case("r_max 63", CONVOLUTIONAL, 0, 380, largest=64, r_max=63, r_limit=63, p_zero=0, b_zo=3),
       _step_case("r_max below r_limit", CONVOLUTIONAL, 1, 390, largest=64, r_max=3, r_limit=63, p_zero=128)])


def _digest_of(inputs, parameters):
    weights = {weight["name"]: int8(weight["data"]) for weight in inputs["weights"]}
    return {"bytes": b"".join(array.tobytes() for array in weights.values()).hex(), "digest": digest(weights)}


def _digest_case(comment, **weights):
    return Case(comment, {"weights": [{"name": name, "data": data} for name, data in weights.items()]})


DIGEST = Op(
    "The sha256 of a model's weights, in hexadecimal: the bytes of every tensor in parameter order (the order "
    "listed), each in C order, an int8 as one byte in two's complement; no names, shapes or exponents. bytes: what "
    "is hashed.",
    _digest_of,
    {"ParameterOrder": "Tensors are hashed in the opposite order.",
     "AlphabeticalOrder": "Tensors are hashed in the order of their names.",
     "ColumnMajor": "Elements are hashed with the first axis fastest.",
     "FourBytes": "Each element is hashed as a 32-bit number.",
     "OffsetBinary": "Each element is hashed as its value plus 128.",
     "DigestOfDigests": "The tensors' own digests are hashed."},
    [_digest_case("one zero", w=[[0]]),
     _digest_case("-1", w=[[-1]]),
     _digest_case("extremes", w=[[127, -127, 1, -1, 0]]),
     _digest_case("a matrix", w=[[1, 2, 3], [4, 5, 6]]),
     _digest_case("two tensors", conv1=[[[[1, -2], [3, -4]]]], fc1=[[5, 6]]),
     _digest_case("names out of alphabetical order", fc10=[[1]], fc9=[[2]], conv=[[3], [4]]),
     *(_digest_case(f"{size} bytes: {why}", w=made_up(404 + size, (size,))) for size, why in (
         (55, "sha256's padding still fits into their block"), (56, "the padding needs a second block"),
         (64, "a whole block, then one of padding alone"))),
     _digest_case("a small LeNet", conv1=made_up(400, (2, 1, 3, 3)), conv2=made_up(401, (2, 2, 3, 3)),
                 fc1=made_up(402, (4, 6)), fc2=made_up(403, (3, 4)))])


# What a run starts from.

def _initial_digest_of(inputs, parameters):
    weights = weights_of(parameters["seed"], parameters["shapes"], parameters["headroom"])
    clip_for_zo(weights, list(enumerate(weights))[:parameters["zo_tensors"]], parameters["r_limit"])
    arrays = {name: weight.data for name, weight in weights.items()}
    return {"exponents": [weight.exponent for weight in weights.values()],
            "tensors": [digest({name: data}) for name, data in arrays.items()], "digest": digest(arrays)}


POINTNET = [[64, 3], [64, 64], [64, 64], [128, 64], [1024, 128], [512, 1024], [256, 512], [40, 256]]
LENET5 = [[6, 1, 5, 5], [16, 6, 5, 5], [120, 784], [84, 120], [10, 84]]
INITIAL_DIGEST = Op(
    "The weights that a run of a whole network starts from, by their digests: those of init_weights, the first "
    "zo_tensors tensors clipped to +-(127 - r_limit). tensors: of each tensor alone; digest: of all.",
    _initial_digest_of,
    {"NotClipped": "ZO tensors are not clipped.",
     "TailClipped": "The tail's tensors are clipped too."},
    [Case(comment, {}, dict(shapes=shapes, headroom=headroom, zo_tensors=zo_tensors, r_limit=r_limit, seed=seed))
     for comment, shapes, headroom, zo_tensors, r_limit, seed in (
        ("LeNet-5, K = 3", LENET5, [0, 0, 0, 1, 2], 2, 7, 0),
        ("PointNet of 40 classes, K = 3", POINTNET, [0, 0, 0, 0, 0, 1, 1, 2], 5, 7, 1))])


OPS = {"train_step": TRAIN_STEP, "digest": DIGEST, "initial_digest": INITIAL_DIGEST}
