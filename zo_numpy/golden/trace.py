"""Tier 2: a trace, every tensor of a few training steps in the order in which they arise.

A trace is a folder of .npy files (version 1.0, little-endian, C order) and a manifest.json that lists them:

    {"format_version": .., "config": {..}, "layers": [..], "records": [{"step": 0, "phase": "plus", "op": "Conv2d",
     "name": "conv1", "dtype": "int32", "shape": [2, 6, 28, 28], "sha256": "..", "file": "..", "inputs": [3, 4]}, ..]}

`sha256` is that of the array's bytes, without the .npy header. `inputs` are the numbers of the records, from 0, that
the op read. A number that is not an array stands in the record itself as `value`; an int8 tensor's record has its
`exponent`, a requantisation's also the `max_abs` and `shift` of its accumulator. A record without `file` holds the
digest alone: a compact trace, of a large network, has files in its first step only, never of tensors over 120,000
bytes, and of parameters only as they are at the start.

Phases of a step: init (step 0 only), batch, draw, plus, minus, update.
"""
import dataclasses
import hashlib
import json

import numpy as np

from .. import models
from ..int8 import elastic_zo
from ..int8.arith import max_abs, requantise_shift
from ..run_folder import write_atomically
from ..steps import batch_of, one_step, parts
from . import FORMAT_VERSION

MANIFEST = "manifest.json"
COMPACT_BYTES = 120_000


def array_digest(array):
    """sha256 of an array's little-endian bytes in C order, without any header.  Hex."""
    return hashlib.sha256(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).hexdigest()


class Recorder:
    """Collects the records of a trace and writes their arrays into `folder`, which exists.

    `last` knows, for each thing a later op may read, the number of the record that holds it.
    """

    def __init__(self, folder, compact):
        self.folder, self.compact = folder, compact
        self.records, self.last = [], {}
        self.step, self.accumulator = 0, None

    def keeps(self, array, phase, op):
        """Whether the trace holds the array itself or its digest alone."""
        return not self.compact or (self.step == 0 and array.nbytes <= COMPACT_BYTES
                                    and (op != "weights" or phase == "init"))

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
        else:
            record["value"] = value
        self.records.append({**record, **extra, "inputs": sorted(self.last[key] for key in inputs)})
        return len(self.records) - 1

    def weights(self, phase, weights, inputs=()):
        """Every parameter; `inputs` are the kinds of thing each was made from, beside itself."""
        for name, weight in weights.items():
            made_from = [(kind, name) for kind in ("weights", *inputs) if (kind, name) in self.last]
            made_from += ["g"] if inputs == ("z", "gradient_step") and ("z", name) in self.last else []
            self.last["weights", name] = self.add(phase, "weights", name, weight.data, made_from,
                                                  exponent=weight.exponent)

    def __call__(self, phase, op, name, value):
        """What elastic_zo.train_step calls with the result of each op, in order."""
        last = self.last
        match op:
            case "weights":
                self.weights(phase, value, ("z",))
            case "input":
                last["chain"] = self.add(phase, op, "images", value.data, ["images"], exponent=value.exponent)
            case "requantise" | "requantise_error":
                number = self.add(phase, op, name, value.data, ["chain"], exponent=value.exponent,
                                  max_abs=max_abs(self.accumulator), shift=requantise_shift(self.accumulator))
                if op == "requantise":
                    last["chain"] = last["logits"] = number
                else:
                    last["error"] = number
            case "softmax_error":
                last["error"] = self.add(phase, op, name, value.data, ["logits", "labels"], exponent=value.exponent)
            case "linear_gradient":
                last["gradient", name] = self.add(phase, op, name, value, ["error", ("into", name)])
            case "linear_backward":
                last["chain"] = self.add(phase, op, name, value, ["error", ("weights", name)])
            case "relu_backward":
                last["chain"] = self.add(phase, op, name, value, ["chain", ("into", name)])
            case "gradient_step":
                for layer, step in value.items():
                    last["gradient_step", layer] = self.add(phase, op, layer, step, [("gradient", layer)])
            case "loss":
                last["loss", phase] = self.add(phase, op, "batch", value, ["logits", "labels"])
            case "Conv2d" | "Linear":
                last["into", name] = last["chain"]
                last["chain"] = self.add(phase, op, name, value, ["chain", ("weights", name)])
            case _:
                last["chain"] = self.add(phase, op, name, value, ["chain"])
        if isinstance(value, np.ndarray):
            self.accumulator = value


def record_steps(recorder, config, dataset, steps):
    """Trains `steps` steps from the start of a run and records them."""
    model = models.MODELS[config.model]
    weights = elastic_zo.initialise(config)
    (images, labels), *_ = parts(config, dataset)
    recorder.weights("init", weights)
    last = recorder.last
    for step in range(steps):
        recorder.step = step
        epoch, batch = batch_of(config, len(labels), step)
        last["images"] = recorder.add("batch", "images", "batch", images[batch])
        last["labels"] = recorder.add("batch", "labels", "batch", labels[batch])
        settings = elastic_zo.settings_at(config, epoch)
        for tensor, name in [] if config.zo_frozen else elastic_zo.zo_tensors(model, config.bp_tail):
            z = elastic_zo.draw(name, tensor, weights, config.seed, step, settings, 0)
            last["z", name] = recorder.add("draw", "perturbation", name, z.reshape(weights[name].data.shape))
        *_, g = one_step(config, elastic_zo, weights, images, labels, step, recorder)
        last["g"] = recorder.add("update", "sign", "g", g, [key for key in last if key[0] == "loss"])
        recorder.weights("update", weights, ("z", "gradient_step"))


def export_trace(config, dataset, folder, steps, compact):
    """Writes a trace of the first `steps` steps of a run into `folder`, which exists and is empty."""
    recorder = Recorder(folder, compact)
    record_steps(recorder, config, dataset, steps)
    layers = [{"type": type(layer).__name__, **layer._asdict()} for layer in models.MODELS[config.model].layers]
    manifest = {"format_version": FORMAT_VERSION, "config": dataclasses.asdict(config),
                "dataset": {"source": dataset.source, "digest": dataset.digest}, "steps": steps, "layers": layers}
    lines = [json.dumps(record) for record in recorder.records]
    text = json.dumps(manifest, indent=1)[:-2] + ',\n "records": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    write_atomically(folder / MANIFEST, text.encode())   # last: a folder without it is no trace
    return len(recorder.records)
