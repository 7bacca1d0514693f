"""Golden cases of what changes from step to step: perturbations, the order of an epoch, schedules."""
import numpy as np

from ... import rng
from ...int8.draws import perturbation
from ...run.config import Config
from ...run.steps import batch_of, steps_in_epoch
from .common import Case, Op


def _perturbation_of(inputs, parameters):
    seed, step, tensor, query, count, r_max, p_zero = (
        parameters[name] for name in ("seed", "step", "tensor", "query", "count", "r_max", "p_zero"))
    return {"half_words": rng.half_words(seed, rng.PERTURB, step, tensor, query, count).tolist(),
            "z": perturbation(seed, step, tensor, query, count, r_max, p_zero).tolist()}


def _perturbation_case(comment, seed=0, step=0, tensor=0, query=0, count=37, r_max=7, p_zero=128):
    return Case(comment, {}, dict(seed=seed, step=step, tensor=tensor, query=query, count=count, r_max=r_max,
                                  p_zero=p_zero))


PERTURBATION = Op(
    "The perturbation z of one tensor from the half-words h of the draw (seed, stream 1, step, tensor, query): "
    "magnitude h & r_max, negative if bit 7 of h is set, kept if (h >> 8) < 256 - p_zero, else 0.",
    _perturbation_of,
    {"KeepOneMore": "An element is kept also where h >> 8 equals 256 - p_zero (<= for <).",
     "DropBelow": "An element is dropped where h >> 8 is below p_zero: as often, but others.",
     "KeepIsDrop": "p_zero is taken for the probability of being kept.",
     "SignInverted": "Bit 7 set means positive.",
     "SignFromBit6": "The sign is taken from bit 6.",
     "SignFromBit15": "The sign is taken from bit 15, which also decides on keeping.",
     "ModuloInsteadOfMask": "The magnitude is h % r_max, which never reaches r_max.",
     "HalfWordOrder": "A word's half-words are taken from its high end.",
     "CounterBump": "Blocks are counted from 0 instead of 1.",
     "WrongStream": "Half-words of the initialisation's stream are used.",
     "ZNotReplayed": "The step is not in the counter: every step draws the z of step 0.",
     "TensorIndex": "Tensors are counted from 1 instead of 0.",
     "TensorIgnored": "Every tensor draws the z of tensor 0.",
     "QueryIgnored": "Every query draws the z of query 0.",
     "SeedIgnored": "The seed is always 0."},
    [_perturbation_case(f"r_max {r_max}, p_zero {p_zero}", r_max=r_max, p_zero=p_zero,
                       count=37 if p_zero < 200 else 151)
     for r_max in (1, 3, 7, 15, 31, 63) for p_zero in (0, 1, 128, 224, 255)]
    + [_perturbation_case(f"tensor {tensor}", tensor=tensor, count=19) for tensor in (1, 2, 4)]
    + [_perturbation_case(f"step {step}", step=step, count=21) for step in (1, 2, 18760, 2**32)]
    + [_perturbation_case(f"seed {seed}", seed=seed, count=22) for seed in (1, 2**64 - 1)]
    + [_perturbation_case(f"query {query}", query=query, count=23) for query in (1, 3)]
    + [_perturbation_case("step and tensor: 3, 1", step=3, tensor=1),
       _perturbation_case("and 1, 3", step=1, tensor=3),
       _perturbation_case("one element, nothing dropped", count=1, p_zero=0),
       _perturbation_case("15, one less than a block", count=15),
       _perturbation_case("16, a block", count=16),
       _perturbation_case("17, one more than a block", count=17)])


def _argsort_of(inputs, parameters):
    return {"order": np.argsort(np.array(inputs["words"], np.uint64), kind="stable").tolist()}


HIGH = 2**63

ARGSORT = Op(
    "The indices that bring unsigned 64-bit words into ascending order; equal words stay in the order of their "
    "indices. Equal words are too rare for a real draw to show it, so these words are made up.",
    _argsort_of,
    {"UnstableSort": "Equal words come out in descending order of their indices.",
     "SignedCompare": "Words are compared as signed numbers.",
     "SubtractingComparator": "Two words are compared by the sign of their 64-bit difference, which wraps.",
     "FloatKeys": "Words are compared as floats of 53 bits, so that neighbours become equal.",
     "Keys32": "Only the low 32 bits are compared.",
     "Descending": "The largest word comes first.",
     "RanksNotOrder": "The inverse is given: the rank of each word, not the index at each rank."},
    [Case(comment, {"words": words}) for comment, words in (
        ("one word", [5]),
        ("in order already", [0, 1, 2, 3]),
        ("backwards", [9, 7, 5, 3, 1]),
        ("a cycle", [3, 1, 2]),
        ("all equal", [4, 4, 4, 4, 4]),
        ("equal pairs", [7, 3, 7, 3, 7, 3]),
        ("around the sign bit", [HIGH, HIGH - 1, 2**64 - 1, 0, HIGH + 1]),
        ("the extremes", [2**64 - 1, 0, 1]),
        ("neighbours that a float cannot tell apart", [2**60 + 2, 2**60 + 1, 2**60]),
        ("low halves in the opposite order", [3 * 2**32 + 1, 2 * 2**32 + 2, 2**32 + 3]))])


def _shuffled_of(inputs, parameters):
    seed, epoch, count = (parameters[name] for name in ("seed", "epoch", "count"))
    return {"words": rng.words(seed, rng.SHUFFLE, epoch, 0, 0, count).tolist(),
            "order": rng.shuffled(seed, epoch, count).tolist()}


SHUFFLED = Op(
    "The order in which an epoch visits its samples: the stable ascending order of one word a sample, the words of "
    "the draw (seed, stream 2, step = epoch, tensor 0, query 0).",
    _shuffled_of,
    {"WrongStream": "Words of the initialisation's stream are used.",
     "EpochIgnored": "Every epoch has the order of epoch 0.",
     "EpochAsTensor": "The epoch stands in the tensor's place of the counter.",
     "EpochFromOne": "Epochs are counted from 1.",
     "SeedIgnored": "The seed is always 0.",
     "RanksNotOrder": "The inverse permutation is used: the rank of each sample's word.",
     "FisherYates": "The words drive a Fisher-Yates shuffle.",
     "CounterBump": "Blocks are counted from 0 instead of 1."},
    [Case(f"seed {seed}, epoch {epoch}, {count} samples", {}, {"seed": seed, "epoch": epoch, "count": count})
     for seed, epoch, count in ((0, 0, 1), (0, 0, 2), (0, 0, 5), (0, 0, 64), (1, 0, 13), (0, 1, 30),
                                (7, 19, 33), (2**63, 2**33, 8))])


def batch_indices(inputs, parameters):
    samples, step = parameters["samples"], parameters["step"]
    config = Config(seed=parameters["seed"], batch_size=parameters["batch_size"])
    epoch, indices = batch_of(config, samples, step)
    return {"steps_per_epoch": steps_in_epoch(config, samples), "epoch": epoch, "indices": indices.tolist()}


BATCH = Op(
    "Which samples a step (counted from 0 over the whole run) trains on: steps_per_epoch = ceil(samples / "
    "batch_size), epoch = step / steps_per_epoch rounded down, and the next batch_size entries of the epoch's "
    "order; the last batch of an epoch has what is left.",
    batch_indices,
    {"LastBatchDropped": "An incomplete last batch is left out.",
     "LastBatchFilled": "An incomplete last batch is filled up from the start of the order.",
     "EpochIgnored": "Every epoch has the order of epoch 0.",
     "NotShuffled": "Samples are taken in file order.",
     "EpochBySamples": "The epoch is step * batch_size / samples, as if no batch were incomplete."},
    [Case(f"{samples} samples by {batch_size}, step {step}", {},
          {"seed": seed, "samples": samples, "batch_size": batch_size, "step": step})
     for seed, samples, batch_size, step in (
         (0, 12, 4, 0), (0, 12, 4, 1), (0, 12, 4, 2), (0, 12, 4, 3), (0, 12, 4, 11), (0, 10, 4, 0),
         (0, 10, 4, 1), (0, 10, 4, 2), (0, 10, 4, 3), (0, 10, 4, 14), (0, 10, 4, 17), (3, 7, 1, 6),
         (3, 7, 1, 7), (3, 5, 8, 0), (3, 5, 8, 1), (1, 100, 64, 1), (1, 100, 64, 2), (1, 129, 64, 5))])


def _schedule_of(inputs, parameters):
    config = Config(epochs=parameters["epochs"], schedules={"values": tuple(parameters["values"])})
    return {"value": config.at("values", parameters["epoch"])}


SCHEDULE = Op(
    "The value of a schedule in an epoch (from 0): entry epoch * len(values) / epochs, rounded down.",
    _schedule_of,
    {"EpochFromOne": "Epochs are counted from 1.",
     "RestToTheLast": "Every entry lasts epochs / len(values) epochs, rounded down, and the last has the rest.",
     "RoundedUpParts": "Every entry lasts epochs / len(values) epochs, rounded up.",
     "OneEntryAnEpoch": "Entry `epoch` is used, and the last one from then on."},
    [Case(f"{len(values)} values over {epochs} epochs, epoch {epoch}", {},
          {"values": values, "epochs": epochs, "epoch": epoch})
     for values, epochs in (([5], 3), ([10, 20], 2), ([10, 20, 30], 20), ([10, 20, 30, 40], 6), ([10, 20, 30], 2))
     for epoch in range(epochs)])


OPS = {"perturbation": PERTURBATION, "stable_argsort": ARGSORT, "shuffled": SHUFFLED, "batch_indices": BATCH,
       "schedule": SCHEDULE}
