"""A trained INT8 network as a C program that classifies and trains on a device: its weights, a self-test, a Makefile,
and the files that it needs of the port in C99 (experiments/port_c99), which only a clone has.

Everything of the model is in PREFIX_model.c and .h, under names that begin with the prefix, so that several models can
stand in one program.
"""
import dataclasses
import os
import re

import numpy as np

from .. import models, rng
from ..errors import UserError
from ..files import scratch_folder
from ..measure import memory
from ..run.checkpoint import digest
from ..run.config import BP
from ..run.steps import PRECISIONS, compares_loss, settings_of
from .beside import IS_CLONE, ROOT
from .export import c_names, comment, values

PORT = ROOT / "experiments" / "port_c99"
COPIED = ("models.[ch]", "rng.[ch]", "int8/*.[ch]", "device/*.[ch]", "device/program/*.c", "device/cortex_m/*",
          "harness/sha256.[ch]")   # of the port
NAME_SIZE, MAX_LAYERS, MAX_BLOCKS, MAX_QUERIES = 24, 64, 24, 64   # of the port (models.h, int8.h)
MAX_CLASSES = 256                                      # a label is a byte (device.h)
# Names of macros, targets, files and folders of a program, and of what make reads before the Makefile.
TAKEN = ("model", "test", "clean", "port_c99", "sizes", "makefile", "gnumakefile")
TESTED = 4   # samples of the self-test at most
# The C name of a layer's kind, and its numbers: in, out, kernel, pad, size.
LAYERS = {models.Conv2d: ("CONV2D", lambda layer: (layer.in_channels, layer.out_channels, layer.kernel, layer.pad, 0)),
          models.Linear: ("LINEAR", lambda layer: (layer.in_features, layer.out_features, 0, 0, 0)),
          models.PointLinear: ("POINT_LINEAR", lambda layer: (layer.in_channels, layer.out_channels, 0, 0, 0)),
          models.MaxPool2d: ("MAX_POOL2D", lambda layer: (0, 0, 0, 0, layer.size)),
          models.MaxOverPoints: ("MAX_OVER_POINTS", lambda layer: (0, 0, 0, 0, 0)),
          models.ReLU: ("RELU", lambda layer: (0, 0, 0, 0, 0)),
          models.Flatten: ("FLATTEN", lambda layer: (0, 0, 0, 0, 0))}
MAKEFILE = """\
# make test            builds the program and runs its self-test
# make test CC=riscv64-linux-gnu-gcc CFLAGS="-O2 -static" EMULATOR=qemu-riscv64   for another machine; HOSTCC compiles
#                      what runs here, to size the memory
# make DEFINES=-D@BATCH@=1   trains on another batch; make clean before
# make cortex-m        builds an image for a Cortex-M3 without an operating system; CORTEX_M says for which else
# make cortex-m-test   runs it in emulation: its self-test, and what a training step takes
CC = cc
HOSTCC = cc
CFLAGS = -O2
EMULATOR =
DEFINES =
CORTEX_CC = arm-none-eabi-gcc
CORTEX_M = -mcpu=cortex-m3 -mthumb -O2
STRICT = -std=c99 -pedantic -Wall -Werror
PORT = $(wildcard port_c99/*.c port_c99/int8/*.c port_c99/harness/*.c) port_c99/device/device.c

@PREFIX@: memory.h @PREFIX@_model.c port_c99/device/program/main.c $(PORT)
	$(CC) $(STRICT) $(DEFINES) $(CFLAGS) -I. @PREFIX@_model.c port_c99/device/program/main.c $(PORT) -o $@

memory.h: model.h @PREFIX@_model.c port_c99/device/program/sizes.c $(PORT)
	$(HOSTCC) $(STRICT) $(DEFINES) -I. @PREFIX@_model.c port_c99/device/program/sizes.c $(PORT) -o sizes
	./sizes > $@.part && mv $@.part $@

BOARD = port_c99/device/cortex_m
@PREFIX@.elf: memory.h @PREFIX@_model.c $(wildcard $(BOARD)/*) $(PORT)
	$(CORTEX_CC) $(STRICT) $(DEFINES) $(CORTEX_M) -ffunction-sections -fdata-sections -Wl,--gc-sections -nostartfiles \
	    -T $(BOARD)/mps2.ld -I. @PREFIX@_model.c $(wildcard $(BOARD)/*.c) $(PORT) -o $@

.PHONY: test cortex-m cortex-m-test clean
cortex-m: @PREFIX@.elf

cortex-m-test: @PREFIX@.elf
	qemu-system-arm -M mps2-an385 -display none -serial none -monitor none -chardev stdio,id=out \
	    -semihosting-config enable=on,chardev=out -icount shift=7,sleep=off -kernel @PREFIX@.elf

test: @PREFIX@
	$(EMULATOR) ./@PREFIX@ test
	$(EMULATOR) ./@PREFIX@ memory

clean:
	rm -f @PREFIX@ @PREFIX@.elf sizes memory.h
"""


def _prefix_of(folder):
    """The prefix of a model's C names, from the name of its folder; unlike what the program's files have themselves."""
    name = c_names([folder.resolve().name.lower()])[0]
    return name + "_1" if name in TAKEN else name


def write_program(folder, config, method, weights, origin):
    """Writes the program into a folder that is new or empty; returns how many bytes. It trains on as a run would that
    starts from this one's weights, with the values of its last epoch.

    method: the steps.Method of the run.  weights: as `load_weights` returns them; they are not changed.  origin: one
    line for the top comments.  Raises UserError, OSError.
    """
    _check(config)
    config = dataclasses.replace(config, schedules={name: (config.at(name, config.epochs - 1),)
                                                    for name in config.schedules})
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; name a new folder for the program")
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = _prefix_of(folder)
    with scratch_folder(folder) as new:
        for pattern in COPIED:
            for path in sorted(PORT.glob(pattern)):
                place = new / "port_c99" / path.relative_to(PORT)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
        texts = {f"{prefix}_model.c": _model_source(prefix, config, method, weights, origin),
                 f"{prefix}_model.h": _model_header(prefix, config), "model.h": _which_model(prefix),
                 "Makefile": MAKEFILE.replace("@PREFIX@", prefix).replace("@BATCH@", f"{prefix.upper()}_BATCH")}
        for name, text in texts.items():
            (new / name).write_text(text, encoding="ascii")
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        os.replace(new, folder)   # whole or not at all
    return size


def _check(config):
    """Raises UserError where there is no port, or it does not do what the run does."""
    if not (IS_CLONE and PORT.is_dir()):
        raise UserError("a program needs experiments/port_c99/, which is not beside the zo_numpy package")
    model = models.of_run(config)
    layers = models.integer_layers(model.layers)
    if len(layers) > MAX_LAYERS or len(models.blocks(layers)) > MAX_BLOCKS:
        raise UserError(f"{model.name} has more than {MAX_LAYERS} layers or {MAX_BLOCKS} of them with weights; raise "
                        "the limits in experiments/port_c99/models.h and here")
    if model.classes > MAX_CLASSES:
        raise UserError(f"{model.name} has {model.classes:,} classes, and a label of the port in C99 is a byte: "
                        f"{MAX_CLASSES} at most")
    if config.queries > MAX_QUERIES:
        raise UserError(f"--queries {config.queries}: the port in C99 has {MAX_QUERIES} at most")
    if compares_loss(config):
        raise UserError("--loss float is a comparison that the port in C99 does not have; export the header alone: "
                        "--out weights.h")


def _test_of(config, method, weights):
    """The self-test: samples and labels drawn from the run's seed, their logits, and the digest after a step on them.

    Returns (samples, labels, logits, digest): uint8 or int8 arrays, a QTensor, text.
    """
    model, precision = models.of_run(config), PRECISIONS[config.precision]
    n = min(TESTED, config.batch_size)
    drawn = rng.half_words(config.seed, rng.DATA, 0, 0, 0, n * models.size(model.input_shape))
    samples = drawn.astype(np.uint8) if not models.takes_points(model) else (drawn % 147).astype(np.int8) - np.int8(73)
    samples = samples.reshape(n, *model.input_shape)
    labels = np.arange(n, dtype=np.uint8) % model.classes
    logits = precision.logits_of(model, weights, samples)
    trained = precision.fit_for_zo({name: weight._replace(data=weight.data.copy()) for name, weight in weights.items()
                                    if hasattr(weight, "exponent")}, config)
    method.train_step(model, config.bp_tail, trained, samples, labels, config.seed, 0, settings_of(config, method, 0))
    return samples, labels, logits, digest(precision.to_arrays(trained)[0])


def _model_source(prefix, config, method, weights, origin):
    model, precision = models.of_run(config), PRECISIONS[config.precision]
    layers = models.integer_layers(model.layers)
    named = {layer.name: weights[layer.name] for layer in models.weight_layers(layers)}
    settings = settings_of(config, method, 0)
    samples, labels, logits, after = _test_of(config, method, weights)
    arrays = [f"{prefix}_{name}_weight" for name in c_names(named)]
    lines = [f"/* {comment(origin)} */", '#include "port_c99/device/device.h"', f'#include "{prefix}_model.h"', ""]
    for array, (name, weight) in zip(arrays, named.items()):
        lines += [f"/* {comment(name)}: {weight.data.shape}, in C order */", *values("int8_t", array, weight.data)]
    lines += [f"static const int8_t *const {prefix}_weights[] = {{{', '.join(arrays)}}};",
              f"static const int32_t {prefix}_exponents[] = {{{_listed(w.exponent for w in named.values())}}};", "",
              f"static const struct layer {prefix}_layers[] = {{",
              *(f"    {{{_layer(layer)}}}," for layer in layers), "};", "",
              *values("unsigned char", f"{prefix}_samples", samples.view(np.uint8)),
              *values("uint8_t", f"{prefix}_labels", labels), *values("int8_t", f"{prefix}_logits", logits.data)]
    predicted = 0 if config.bp_tail == BP else memory.peak(memory.moments(config)).total
    shape = _listed((*model.input_shape, 0)[:3])
    lines += [f"const struct device_model {prefix}_model = {{", f"    {_text(prefix)},",
              f"    {_text(digest({name: weight.data for name, weight in named.items()}))},",
              f"    {prefix}_layers, {len(layers)}, {{{len(model.input_shape)}, {{{shape}}}}},",
              f"    {'FULL_BP' if config.bp_tail == BP else config.bp_tail}, {prefix.upper()}_BATCH < {len(labels)} ? "
              f"{len(labels)} : {prefix.upper()}_BATCH,",
              f"    {_bool(config.tail_scale == 'running')},   /* the scale of the tail's steps */",
              f"    UINT64_C({config.seed}),",
              f"    {{{settings.r_max}, {settings.p_zero}, {settings.b_zo}, {settings.b_bp}, {settings.r_limit}, "
              f"{config.queries}, {_bool(config.loss == 'coarse')}, {_bool(config.tail_passes == 'both')}, "
              f"{_bool(config.zo_frozen)}}},   /* r_max, p_zero, b_zo, b_bp, R, queries, coarse, both, frozen */",
              f"    {prefix}_weights, {prefix}_exponents, UINT64_C({predicted}),",
              f"    {{{len(labels)}, {prefix}_samples, {prefix}_labels, {prefix}_logits, {logits.exponent},",
              f"     {_text(after)}}}", "};", ""]
    return "\n".join(lines)


def _model_header(prefix, config):
    guard, size = f"{prefix.upper()}_MODEL_H", models.size(models.of_run(config).input_shape)
    return (f"#ifndef {guard}\n#define {guard}\n\n#include \"port_c99/device/device.h\"\n\n"
            f"#define {prefix.upper()}_SAMPLE {size}   /* bytes */\n"
            f"#ifndef {prefix.upper()}_BATCH\n#define {prefix.upper()}_BATCH {config.batch_size}   /* the largest */\n"
            f"#endif\n\nextern const struct device_model {prefix}_model;\n\n#endif\n")


def _which_model(prefix):
    """The header by which main.c knows its model."""
    return (f"#include \"{prefix}_model.h\"\n\n#define MODEL {prefix}_model\n"
            f"#define MODEL_SAMPLE {prefix.upper()}_SAMPLE\n#define MODEL_BATCH {prefix.upper()}_BATCH\n")


def _layer(layer):
    kind, numbers = LAYERS[type(layer)]
    name = "".join(c if c.isascii() and c.isprintable() else "_" for c in getattr(layer, "name", ""))
    return f"{kind}, {_text(name[:NAME_SIZE - 1])}, {_listed(numbers(layer))}"


def _listed(numbers):
    return ", ".join(map(str, numbers))


def _bool(value):
    return "true" if value else "false"


def _text(words):
    """A C string."""
    return '"' + re.sub(r'(["\\?])', r"\\\1", words) + '"'
