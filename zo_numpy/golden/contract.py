"""What stands beside the vectors for programs to read: SPEC.md's constants and tables, what each vector needs, Philox's
known answers (tests/golden/contract), and the decoded clouds that runs are trained on (tests/golden/data). All is made
from the code.
"""
import io
import json

import numpy as np

from .. import models, rng
from ..int8 import arith, draws, loss, tail
from ..run.config import LOW_B_BP, SCHEDULES
from ..run.network import described
from ..run.steps import DIGEST_EVERY, parts
from ..run.trainer import EVALUATION_BATCH
from . import FORMAT_VERSION
from .cases import random
from .choices import choices_of_all

# NumPy computes Philox itself; these are what it computes with, and a test does it by them alone.
PHILOX = {"rounds": 10, "multipliers": [0xD2E7470EE14C6C93, 0xCA5A826395121157],
          "key_increments": [0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], "first_block": 1}
SHIFTED = (0, 1, -1, 2, -5, 6, -6, 7, -7, 9, -12, 13, -14, -63, 64, -100, 127, -127, 128, 255, -256, 1000, -119, 12345,
           -99999, 2**24 - 1, -2**30)
HALF_WORDS = (0x0000, 0x0005, 0x0080, 0x0085, 0x007F, 0x017F, 0x3FFF, 0x8000, 0xBFFF, 0xC0FF, 0xFFFF)


def made_files(configs, data, load):
    """{path below tests/golden: content} of all these files.

    configs: {"traces" or "runs": {name: Config}}, of what is committed.  data: {name: Config} of runs on clouds.
    load: maps a Config to its Dataset.
    """
    files = {"contract/constants.json": _to_json(constants()),
             "contract/choices.json": _to_json({"format_version": FORMAT_VERSION, **choices_of_all(configs)}),
             "contract/philox.txt": _philox_text(random.OPS["philox4x64_10"]).encode("ascii")}
    for name, config in data.items():
        files |= {f"data/{name}-{file}": content for file, content in _samples(config, load(config)).items()}
    return files


def check_files(golden, made):
    """(files compared, sentences on what differs) of the committed files beside the vectors, and of those as text.

    made: {path below tests/golden: content} of what they are to be.
    """
    committed = {path.relative_to(golden).as_posix(): path.read_bytes()
                 for part in ("contract", "data", "text") for path in sorted((golden / part).rglob("*"))
                 if path.is_file()}
    return len(made), [f"{name} is missing" if name not in committed else
                       f"{name} is committed but belongs to no vector" if name not in made else
                       f"{name} is not, byte for byte, what this version writes"
                       for name in sorted({*made, *committed}) if made.get(name) != committed.get(name)]


def _to_json(content):
    """JSON with each list that holds no object on a line of its own."""
    lists = []

    def kept(value):
        if isinstance(value, dict):
            return {name: kept(part) for name, part in value.items()}
        if isinstance(value, (list, tuple)) and any(isinstance(part, dict) for part in value):
            return [kept(part) for part in value]
        if isinstance(value, (list, tuple)):
            lists.append(json.dumps(value))
            return f"@{len(lists) - 1}@"
        return value

    text = json.dumps(kept(content), indent=1)
    for number, line in enumerate(lists):
        text = text.replace(f'"@{number}@"', line)
    return (text + "\n").encode("ascii")


def constants():
    """Every constant, table and coefficient of SPEC.md; of a schedule the values, or the lowest and the highest."""
    return {
        "format_version": FORMAT_VERSION,
        "philox4x64": PHILOX,
        "streams": {name: getattr(rng, name) for name in ("INIT", "PERTURB", "SHUFFLE", "DATA")},
        "tensors": {"largest": arith.INT8_MAX, "bits": arith.bit_width(arith.INT8_MAX),
                    "largest_terms": arith.MAX_TERMS, "pixel_shift": 1, "input_exponent": -7, "point_scale": 127},
        "initial_weights": {"factor": 12, "headroom": [0, 6]},
        "loss": {name.lower(): getattr(loss, name) for name in (
            "FRACTION_BITS", "LOG2_E", "LOG2_E_BITS", "MAX_EXPONENT", "TERM_BITS", "EXP2_COEFFICIENTS",
            "LOG2_COEFFICIENTS", "COARSE_WINDOW", "MAX_BATCH", "MAX_CLASSES")},
        "tail": {"softmax_bits": tail.SOFTMAX_BITS, "first_reference": tail.FIRST_REFERENCE,
                 "fall_after": tail.FALL_AFTER, "largest_shift": tail.LARGEST_SHIFT},
        "run": {"evaluation_batch": EVALUATION_BATCH, "digest_every": DIGEST_EVERY},
        "schedules": {**{name: _ends(numbers.values) if isinstance(numbers.values, range) else list(numbers.values)
                         for name, numbers in SCHEDULES["int8"].items()}, "b_bp_running": _ends(LOW_B_BP.values)},
        "tables": _tables(),
        "networks": {name: _network(model) for name, model in models.MODELS.items()},
    }


def _ends(values):
    return [values[0], values[-1]]


def _tables():
    """Small functions by some of their values; each row is arguments, then results."""
    shifts = [(a, s) for a in SHIFTED for s in (0, 1, 2, 3, 5, 7, 8, 16, 30)]
    values, by = (np.array(column, np.int32) for column in zip(*shifts))
    rounded, pseudo = ([int(shift(values[i:i + 1], int(by[i]))[0]) for i in range(len(by))]
                       for shift in (arith.round_shift, arith.pseudo_stochastic_shift))
    return {
        "bit_width": [[m, arith.bit_width(m)] for m in (0, 1, 2, 3, 4, 7, 8, 63, 64, 127, 128, 129, 255, 256, 2**30)],
        "shifts": [[*pair, *results] for pair, *results in zip(shifts, rounded, pseudo)],
        "z": [[h, r_max, p_zero, int(draws.perturbation_table(r_max, p_zero)[h])]
              for r_max, p_zero in ((7, 64), (63, 0), (63, 255), (1, 128)) for h in HALF_WORDS],
    }


def _network(model):
    """The layers of a network and, of each tensor, what its weights start from; k + headroom is the exponent's."""
    layers = models.integer_layers(model.layers)
    weights = draws.init_weights(model._replace(layers=layers), 0, {layer.name: 0
                                                                    for layer in models.weight_layers(layers)})
    return {"input_shape": list(model.input_shape), "layers": described(layers),
            "tensors": [{"name": layer.name, "shape": list(layer.weight_shape), "fan_in": models.fan_in(layer),
                         "k": -weights[layer.name].exponent} for layer in models.weight_layers(layers)]}


def _philox_text(op):
    """The known answers in the form of Random123's kat_vectors: name, rounds, counter, key, block."""
    lines = ["# name rounds  counter (4 words)  key (2 words)  block (4 words); hexadecimal, word 0 first"]
    for case in op.cases:
        answer = op.compute(case.inputs, case.parameters)["block"]
        lines.append("philox4x64 10 " + " ".join(f"{word:016x}" for word in (
            *case.inputs["counter"], *case.inputs["key"], *answer)))
    return "\n".join(lines) + "\n"


def _samples(config, dataset):
    """{file name: content} of a run on clouds: the samples that it trains on, then those that it reports on; labels."""
    (samples, labels), (seen, classes), _ = parts(config, dataset)
    contents = {}
    for file, array in (("samples.npy", np.concatenate([samples, seen])),
                        ("labels.npy", np.concatenate([labels, classes]).astype(np.uint8))):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        contents[file] = stream.getvalue()
    return contents
