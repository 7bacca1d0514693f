"""The model lists: LeNet-5's parameters and blocks, and ElasticZO's cut into head and tail."""
import pytest

from zo_numpy import models
from zo_numpy.models import LENET5, Conv2d, Flatten, Linear, MaxPool2d, ReLU


def count(layer):
    product = 1
    for size in layer.weight_shape:
        product *= size
    return product


def test_lenet5_has_the_parameters_it_should():
    layers = models.weight_layers(LENET5.layers)
    assert [layer.name for layer in layers] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert [count(layer) for layer in layers] == [6 * 1 * 5 * 5, 16 * 6 * 5 * 5, 120 * 784, 84 * 120, 10 * 84]
    assert [models.fan_in(layer) for layer in layers] == [1 * 5 * 5, 6 * 5 * 5, 784, 120, 84]
    assert models.MODELS["lenet5"] is LENET5


def test_lenet5_shapes_follow_from_layer_to_layer():
    shape = LENET5.input_shape
    for layer in LENET5.layers:
        match layer:
            case Conv2d():
                assert shape[0] == layer.in_channels
                shape = (layer.out_channels, *(s + 2 * layer.pad - layer.kernel + 1 for s in shape[1:]))
            case MaxPool2d():
                assert shape[1] % layer.size == shape[2] % layer.size == 0
                shape = (shape[0], shape[1] // layer.size, shape[2] // layer.size)
            case Flatten():
                shape = (shape[0] * shape[1] * shape[2],)
            case Linear():
                assert shape == (layer.in_features,)
                shape = (layer.out_features,)
    assert shape == (LENET5.classes,)


def test_lenet5_has_five_blocks():
    blocks = models.blocks(LENET5.layers)
    assert [block[0].name for block in blocks] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert [layer for block in blocks for layer in block] == list(LENET5.layers)
    # Pooling commutes with ReLU and comes first: four times less to do.
    assert [type(layer) for layer in blocks[0]] == [Conv2d, MaxPool2d, ReLU]


@pytest.mark.parametrize("bp_tail, names", [(0, []), (1, ["fc3"]), (2, ["fc2", "fc3"]), (3, ["fc1", "fc2", "fc3"])])
def test_split_tail(bp_tail, names):
    head, tail = models.split_tail(LENET5.layers, bp_tail)
    assert head + tail == LENET5.layers
    assert [layer.name for layer in models.weight_layers(tail)] == names
    assert [layer.name for layer in tail[:1]] == names[:1]


@pytest.mark.parametrize("bp_tail", [-1, 4, 5, 100])
def test_split_tail_refuses_what_the_model_has_not(bp_tail):
    with pytest.raises(ValueError, match=f"{bp_tail}.*3"):
        models.split_tail(LENET5.layers, bp_tail)


def test_only_trailing_linear_layers_may_be_the_tail():
    layers = (Linear("embed", 9, 9), Conv2d("conv", 1, 1, 3, 1), Flatten(), Linear("fc", 9, 2))
    head, tail = models.split_tail(layers, 1)
    assert [layer.name for layer in tail] == ["fc"] and head == layers[:3]
    with pytest.raises(ValueError):
        models.split_tail(layers, 2)
