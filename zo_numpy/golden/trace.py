"""Tier 2: a trace, every tensor of a few training steps in the order in which they arise.

A trace is a folder of .npy files (version 1.0, little-endian, C order) and a manifest.json that lists them:

    {"format_version": .., "config": {..}, "layers": [..], "records": [{"step": 0, "phase": "plus", "op": "Conv2d",
     "name": "conv1", "dtype": "int32", "shape": [2, 6, 28, 28], "sha256": "..", "file": "..", "inputs": [3, 4]}, ..]}

`sha256` is that of the array's bytes, without the .npy header. `inputs` are the numbers of the records, from 0, that
the op read. A number that is not an array stands in the record itself as `value`; an int8 tensor's record has its
`exponent` (but for z, which has none), a requantisation's also the `max_abs` and `shift` of its accumulator. A record
without `file` holds the digest alone: a compact trace, of a large network, has the images and labels of every step
and other files in its first step only, never of tensors over 120,000 bytes, and of parameters only as they are at the
start.

In FP32 the tensors are float32 and have no exponent; nothing is requantised; the parameters of a layer are `weight`
and `bias`, of a batch norm `gamma` and `beta`. What a batch norm normalises by is recorded as the op
batch_statistics; its running statistics stand among the weights. A digest is no use where last bits differ, so a
record without `file` also has a `sample` and a `norm`, see tolerances.py; a compact trace keeps no tensors over
20,000 bytes. g comes from an op called clip instead of sign.

Phases of a step: init (step 0 only), batch, draw, plus, minus, update. The one pass of the control, and of full BP, is
minus. With several queries draw, plus and minus carry the query's number: draw0, draw1, plus0, minus0, plus1, minus1.
"""
import json

import numpy as np

from .. import models
from ..errors import UserError
from ..files import write_atomically
from ..int8.arith import QTensor, max_abs, requantise_shift
from ..int8.tail import SCALE
from ..run.checkpoint import digest
from ..run.config import BP, training_samples
from ..run.config_json import as_json
from ..run.network import described
from ..run.steps import PRECISIONS, batch_of, compares_loss, one_step, own_method, parts, samples_at
from ..run.trainer import first_weights
from . import FORMAT_VERSION
from .tolerances import summary

MANIFEST = "manifest.json"
COMPACT_BYTES = {"int8": 120_000, "fp32": 20_000}
G = {"int8": "sign", "fp32": "clip"}   # the op that gives g


def array_digest(array):
    """sha256 of an array's little-endian bytes in C order, without any header.  Hex."""
    return digest({"the only one": array})


def tensor(value):
    """(array, what else its record says) of a tensor: a quantised one has an exponent."""
    return (value.data, {"exponent": value.exponent}) if isinstance(value, QTensor) else (value, {})


class Recorder:
    """Collects the records of a trace and writes their arrays into `folder`, which exists.

    `last` knows, for each thing a later op may read, the number of the record that holds it: "chain" is what flows from
    layer to layer, ("weights", name) a parameter, ("into", name) a layer's input, ("z", query, name) a perturbation.
    """

    def __init__(self, folder, compact, queries, precision="int8"):
        self.folder, self.compact, self.queries, self.precision = folder, compact, queries, precision
        self.records, self.last = [], {}
        self.accumulator, self.loss = None, None
        self.begin(0)

    def begin(self, step):
        """What is recorded from here on belongs to this step."""
        self.step, self.query = step, -1   # the first pass at theta + z begins query 0

    def of_query(self, phase, query):
        """The name of a phase that every query has."""
        return f"{phase}{query}" if self.queries > 1 else phase

    def keeps(self, array, phase, op):
        """Whether the trace holds the array itself or its digest alone."""
        return not self.compact or phase == "batch" or (
            self.step == 0 and array.nbytes <= COMPACT_BYTES[self.precision] and (op != "weights" or phase == "init"))

    def add(self, phase, op, name, value, inputs=(), **extra):
        """Appends one record; returns its number."""
        record = {"step": self.step, "phase": phase, "op": op, "name": name}
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            record.update(dtype=value.dtype.name, shape=list(value.shape), sha256=array_digest(array))
            if self.keeps(array, phase, op):
                record["file"] = f"{len(self.records):04d}_s{self.step}_{phase}_{op}_{name}.npy"
                with open(self.folder / record["file"], "wb") as file:
                    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
            elif self.precision == "fp32":
                record.update(summary(array))
        else:
            record["value"] = value
        self.records.append({**record, **extra, "inputs": sorted(self.last[key] for key in inputs)})
        return len(self.records) - 1

    def weights(self, phase, weights, kinds=()):
        """Every parameter.  kinds: keys of `last`, without the name, of what each was made from beside itself."""
        for name, weight in weights.items():
            made_from = [(*kind, name) for kind in (("weights",), *kinds) if (*kind, name) in self.last]
            made_from += ["g"] if phase == "update" and any(key[0] == "z" for key in made_from) else []
            array, extra = tensor(weight)
            self.last["weights", name] = self.add(phase, "weights", name, array, made_from, **extra)

    def weights_of(self, layer):
        """The keys of a layer's parameters: its only one in INT8; in FP32 weight and bias, or gamma and beta."""
        names = (layer, *(f"{layer}.{part}" for part in ("weight", "bias", "gamma", "beta")))
        return [key for name in names if (key := ("weights", name)) in self.last]

    def __call__(self, phase, op, name, value):
        """What elastic_zo.train_step calls with the result of each op, in order.

        The loss of a pass is known before the tail's gradients are, and stands after them: it is held back.
        """
        last = self.last
        if op == "weights":
            self.add_loss()
            self.query += phase == "plus"
        first_pass, phase = phase == "plus", self.of_query(phase, self.query)
        match op:
            case "weights":
                restored = [("z", self.query - 1)] if first_pass else []   # the query before, if there is one
                self.weights(phase, value, [("z", self.query), *restored])
            case "input":
                array, extra = tensor(value)
                last["chain"] = self.add(phase, op, "images", array, ["images"], **extra)
            case "requantise" | "requantise_error":
                number = self.add(phase, op, name, value.data, ["chain"], exponent=value.exponent,
                                  max_abs=max_abs(self.accumulator), shift=requantise_shift(self.accumulator))
                if op == "requantise":
                    last["chain"] = last["logits"] = number
                else:
                    last["error"] = number
            case "softmax_error":
                array, extra = tensor(value)
                last["error"] = self.add(phase, op, name, array, ["logits", "labels"], **extra)
            case "linear_gradient" | "conv2d_gradient" | "point_linear_gradient":
                layer, _, part = name.partition(".")
                into = [] if part == "bias" else [("into", layer)]
                last["gradient", name] = self.add(phase, op, name, value, ["error", *into])
            case "linear_backward" | "conv2d_backward" | "point_linear_backward":
                last["chain"] = self.add(phase, op, name, value, ["error", self.weights_of(name)[0]])
                last["error"] = last["chain"]   # where no ReLU stands below; what INT8 still requantises
            case "relu_backward":
                last["chain"] = last["error"] = self.add(phase, op, name, value, ["chain", ("into", name)])
            case "gradient_step":
                for layer, step in value.items():
                    scale = [key for key in [("weights", layer + SCALE)] if key in last]
                    made_from = [("gradient", layer), *scale]
                    last["gradient_step", phase, layer] = self.add(phase, op, layer, step, made_from)
                    if scale:   # what the running scale is made from in the update
                        last["gradient_step", phase, layer + SCALE] = last["gradient", layer]
            case "loss":
                self.loss = phase, value
            case "batch_statistics":
                last["statistics", name] = self.add(phase, op, name, value, ["chain"])
            case "BatchNorm":
                used = [("statistics", f"{name}.{part}") for part in ("mean", "var")]
                last["chain"] = self.add(phase, op, name, value, ["chain", *self.weights_of(name), *used])
            case "Conv2d" | "Linear" | "PointLinear":
                last["into", name] = last["chain"]
                last["chain"] = last["logits"] = self.add(phase, op, name, value, ["chain", *self.weights_of(name)])
            case _:
                last["chain"] = self.add(phase, op, name, value, ["chain"])
        if isinstance(value, np.ndarray):
            self.accumulator = value

    def add_loss(self):
        """Appends the loss that was held back, if there is one."""
        if self.loss:
            phase, value = self.loss
            self.last["loss", phase] = self.add(phase, "loss", "batch", value, ["logits", "labels"])
            self.loss = None


def record_steps(recorder, config, dataset, steps, method=None):
    """Trains `steps` steps from the start of a run by a Method, the precision's own if None, and records them."""
    weights, precision = first_weights(config), PRECISIONS[config.precision]
    (images, labels), *_ = parts(config, dataset)
    recorder.weights("init", weights)
    last = recorder.last
    for step in range(steps):
        recorder.begin(step)
        epoch, batch = batch_of(config, len(labels), step)
        last["images"] = recorder.add("batch", "images", "batch", samples_at(images, epoch)[batch])
        last["labels"] = recorder.add("batch", "labels", "batch", labels[batch])
        _record_draws(recorder, config, weights, step, precision.settings_at(config, epoch))
        *_, g = one_step(config, method or own_method(config), weights, images, labels, step, recorder)
        recorder.add_loss()
        last["g"] = recorder.add("update", G[config.precision], "g", g, [key for key in last if key[0] == "loss"])
        recorder.weights("update", weights, dict.fromkeys(
            key[:-1] for kind in ("z", "gradient_step", "statistics") for key in last if key[0] == kind))


def _record_draws(recorder, config, weights, step, settings):
    """z of every ZO tensor, query by query."""
    if config.zo_frozen or config.bp_tail == BP:
        return
    precision = PRECISIONS[config.precision]
    arrays, _ = precision.to_arrays(weights)
    for query in range(config.queries):
        for index, name in precision.zo_tensors(models.of_run(config), config.bp_tail):
            z = precision.draw(settings, config.seed, step, index, query, arrays[name].size)
            recorder.last["z", query, name] = recorder.add(
                recorder.of_query("draw", query), "perturbation", name, z.reshape(arrays[name].shape))


def check_traceable(config):
    """Refuses a configuration of which there is no trace, as a UserError."""
    if config.bp_tail == BP and config.precision == "fp32":
        raise UserError(f"--bp-tail {config.bp_tail}: traces of it are of --precision int8; in FP32 give a number")
    if compares_loss(config):
        raise UserError("--loss float with --precision int8 is a comparison on this machine, no contract: traces have "
                        "the losses integer and coarse")


def export_trace(config, dataset, folder, steps, compact, method=None):
    """Writes a trace of the first `steps` steps of a run into `folder`, which exists and is empty.

    method: as of `record_steps`.  Returns how many records it has.  Raises UserError as `check_traceable` does.
    """
    check_traceable(config)
    recorder = Recorder(folder, compact, 1 if config.zo_frozen else config.queries, config.precision)
    record_steps(recorder, config, dataset, steps, method)
    layers = models.of_run(config).layers
    layers = described(models.integer_layers(layers) if config.precision == "int8" else layers)
    manifest = {"format_version": FORMAT_VERSION, "config": as_json(config),
                "dataset": {"source": dataset.source, "digest": dataset.digest,
                            "training_samples": training_samples(config, dataset)},
                "steps": steps, "layers": layers}
    lines = [json.dumps(record) for record in recorder.records]
    text = json.dumps(manifest, indent=1)[:-2] + ',\n "records": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    write_atomically(folder / MANIFEST, text.encode())   # last: a folder without it is no trace
    return len(recorder.records)
