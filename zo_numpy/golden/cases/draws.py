"""Golden cases of what changes from step to step: perturbations, the order of an epoch, schedules."""
import numpy as np

from ... import rng
from ...int8.draws import perturbation
from ...run.config import Config
from ...run.steps import batch_of, steps_in_epoch
from .common import Case, Flag, Op, always


def perturbation_of(inputs, parameters):
    seed, step, tensor, query, count, r_max, p_zero = (
        parameters[name] for name in ("seed", "step", "tensor", "query", "count", "r_max", "p_zero"))
    return {"half_words": rng.half_words(seed, rng.PERTURB, step, tensor, query, count).tolist(),
            "z": perturbation(seed, step, tensor, query, count, r_max, p_zero).tolist()}


def perturbation_case(comment, seed=0, step=0, tensor=0, query=0, count=37, r_max=7, p_zero=128):
    return Case(comment, {}, dict(seed=seed, step=step, tensor=tensor, query=query, count=count, r_max=r_max,
                                  p_zero=p_zero))


def z(magnitude, kept, negative):
    """An element of z."""
    return (-magnitude if negative else magnitude) if kept else 0


def any_half_word(bug):
    """The predicate of a bug in one element: bug(h, r_max, keep), keep = 256 - p_zero."""
    def shows(inputs, parameters, expected):
        r, keep = parameters["r_max"], 256 - parameters["p_zero"]
        return any(bug(h, r, keep) != z(h & r, h >> 8 < keep, h & 0x80) for h in expected["half_words"])
    return shows


def not_all_zero(inputs, parameters, expected):
    return any(expected["z"])


PERTURBATION = Op(
    "The perturbation z of one tensor from the half-words h of the draw (seed, stream 1, step, tensor, "
    "query): magnitude h & r_max, negative if bit 7 of h is set, kept if (h >> 8) < 256 - p_zero, else 0.",
    perturbation_of,
    {"KeepOneMore": Flag("An element is kept also where h >> 8 equals 256 - p_zero (<= for <).",
                         any_half_word(lambda h, r, keep: z(h & r, h >> 8 <= keep, h & 0x80))),
     "DropBelow": Flag("An element is dropped where h >> 8 is below p_zero: as often, but others.",
                       any_half_word(lambda h, r, keep: z(h & r, h >> 8 >= 256 - keep, h & 0x80))),
     "KeepIsDrop": Flag("p_zero is taken for the probability of being kept.",
                        any_half_word(lambda h, r, keep: z(h & r, h >> 8 < 256 - keep, h & 0x80))),
     "SignInverted": Flag("Bit 7 set means positive.", not_all_zero),
     "SignFromBit6": Flag("The sign is taken from bit 6.",
                          any_half_word(lambda h, r, keep: z(h & r, h >> 8 < keep, h & 0x40))),
     "SignFromBit15": Flag("The sign is taken from bit 15, which also decides on keeping.",
                           any_half_word(lambda h, r, keep: z(h & r, h >> 8 < keep, h & 0x8000))),
     "ModuloInsteadOfMask": Flag("The magnitude is h % r_max, which never reaches r_max.",
                                 any_half_word(lambda h, r, keep: z(h % r, h >> 8 < keep, h & 0x80))),
     "HalfWordOrder": Flag("A word's half-words are taken from its high end.", not_all_zero),
     "CounterBump": Flag("Blocks are counted from 0 instead of 1.", not_all_zero),
     "WrongStream": Flag("Half-words of the initialisation's stream are used.", not_all_zero),
     "ZNotReplayed": Flag("The step is not in the counter: every step draws the z of step 0.",
                          lambda i, p, e: p["step"] != 0),
     "TensorIndex": Flag("Tensors are counted from 1 instead of 0.", not_all_zero),
     "TensorIgnored": Flag("Every tensor draws the z of tensor 0.", lambda i, p, e: p["tensor"] != 0),
     "QueryIgnored": Flag("Every query draws the z of query 0.", lambda i, p, e: p["query"] != 0),
     "SeedIgnored": Flag("The seed is always 0.", lambda i, p, e: p["seed"] != 0)},
    [perturbation_case(f"r_max {r_max}, p_zero {p_zero}", r_max=r_max, p_zero=p_zero,
                       count=37 if p_zero < 200 else 151)
     for r_max in (1, 3, 7, 15, 31, 63) for p_zero in (0, 1, 128, 224, 255)]
    + [perturbation_case(f"tensor {tensor}", tensor=tensor, count=19) for tensor in (1, 2, 4)]
    + [perturbation_case(f"step {step}", step=step, count=21) for step in (1, 2, 18760, 2**32)]
    + [perturbation_case(f"seed {seed}", seed=seed, count=22) for seed in (1, 2**64 - 1)]
    + [perturbation_case(f"query {query}", query=query, count=23) for query in (1, 3)]
    + [perturbation_case("step and tensor: 3, 1", step=3, tensor=1),
       perturbation_case("and 1, 3", step=1, tensor=3),
       perturbation_case("one element, nothing dropped", count=1, p_zero=0),
       perturbation_case("15, one less than a block", count=15), perturbation_case("16, a block", count=16),
       perturbation_case("17, one more than a block", count=17)])


def argsort_of(inputs, parameters):
    return {"order": np.argsort(np.array(inputs["words"], np.uint64), kind="stable").tolist()}


def argsort_case(comment, words, *flags):
    return Case(comment, {"words": words}, {}, flags)


HIGH = 2**63

ARGSORT = Op(
    "The indices that bring unsigned 64-bit words into ascending order; equal words stay in the order of "
    "their indices. Equal words are too rare for a real draw to show it, so these words are made up.",
    argsort_of,
    {"UnstableSort": Flag("Equal words come out in descending order of their indices.",
                          lambda i, p, e: len(set(i["words"])) < len(i["words"])),
     "SignedCompare": Flag("Words are compared as signed numbers.",
                           lambda i, p, e: min(i["words"]) < HIGH <= max(i["words"])),
     "SubtractingComparator": Flag("Two words are compared by the sign of their 64-bit difference, which "
                                   "wraps."),
     "FloatKeys": Flag("Words are compared as floats of 53 bits, so that neighbours become equal."),
     "Keys32": Flag("Only the low 32 bits are compared."),
     "Descending": Flag("The largest word comes first.", lambda i, p, e: len(set(i["words"])) > 1),
     "RanksNotOrder": Flag("The inverse is given: the rank of each word, not the index at each rank.",
                           lambda i, p, e: any(e["order"][k] != i for i, k in enumerate(e["order"])))},
    [argsort_case("one word", [5]),
     argsort_case("in order already", [0, 1, 2, 3]),
     argsort_case("backwards", [9, 7, 5, 3, 1]),
     argsort_case("a cycle", [3, 1, 2]),
     argsort_case("all equal", [4, 4, 4, 4, 4]),
     argsort_case("equal pairs", [7, 3, 7, 3, 7, 3]),
     argsort_case("around the sign bit", [HIGH, HIGH - 1, 2**64 - 1, 0, HIGH + 1], "SubtractingComparator",
                  "FloatKeys", "Keys32"),
     argsort_case("the extremes", [2**64 - 1, 0, 1], "SubtractingComparator"),
     argsort_case("neighbours that a float cannot tell apart", [2**60 + 2, 2**60 + 1, 2**60], "FloatKeys"),
     argsort_case("low halves in the opposite order", [3 * 2**32 + 1, 2 * 2**32 + 2, 2**32 + 3], "Keys32")])


def shuffled_of(inputs, parameters):
    seed, epoch, count = (parameters[name] for name in ("seed", "epoch", "count"))
    return {"words": rng.words(seed, rng.SHUFFLE, epoch, 0, 0, count).tolist(),
            "order": rng.shuffled(seed, epoch, count).tolist()}


def several(inputs, parameters, expected):
    return parameters["count"] > 2


SHUFFLED = Op(
    "The order in which an epoch visits its samples: the stable ascending order of one word a sample, the "
    "words of the draw (seed, stream 2, step = epoch, tensor 0, query 0).",
    shuffled_of,
    {"WrongStream": Flag("Words of the initialisation's stream are used.", always),
     "EpochIgnored": Flag("Every epoch has the order of epoch 0.", lambda i, p, e: p["epoch"] != 0),
     "EpochAsTensor": Flag("The epoch stands in the tensor's place of the counter.",
                           lambda i, p, e: p["epoch"] != 0),
     "EpochFromOne": Flag("Epochs are counted from 1.", always),
     "SeedIgnored": Flag("The seed is always 0.", lambda i, p, e: p["seed"] != 0),
     "RanksNotOrder": Flag("The inverse permutation is used: the rank of each sample's word.", several),
     "FisherYates": Flag("The words drive a Fisher-Yates shuffle.", several),
     "CounterBump": Flag("Blocks are counted from 0 instead of 1.", always)},
    [Case(f"seed {seed}, epoch {epoch}, {count} samples", {}, {"seed": seed, "epoch": epoch, "count": count})
     for seed, epoch, count in ((0, 0, 1), (0, 0, 2), (0, 0, 5), (0, 0, 64), (1, 0, 13), (0, 1, 30),
                                (7, 19, 33), (2**63, 2**33, 8))])


def batch_indices(inputs, parameters):
    samples, step = parameters["samples"], parameters["step"]
    config = Config(seed=parameters["seed"], batch_size=parameters["batch_size"])
    epoch, indices = batch_of(config, samples, step)
    return {"steps_per_epoch": steps_in_epoch(config, samples), "epoch": epoch, "indices": indices.tolist()}


def last_is_partial(inputs, parameters, expected):
    return parameters["samples"] % parameters["batch_size"] != 0


BATCH = Op(
    "Which samples a step (counted from 0 over the whole run) trains on: steps_per_epoch = ceil(samples / "
    "batch_size), epoch = step / steps_per_epoch rounded down, and the next batch_size entries of the "
    "epoch's order; the last batch of an epoch has what is left.",
    batch_indices,
    {"LastBatchDropped": Flag("An incomplete last batch is left out.", last_is_partial),
     "LastBatchFilled": Flag("An incomplete last batch is filled up from the start of the order.",
                             lambda i, p, e: len(e["indices"]) < min(p["batch_size"], p["samples"])
                             or p["batch_size"] > p["samples"]),
     "EpochIgnored": Flag("Every epoch has the order of epoch 0.", lambda i, p, e: e["epoch"] > 0),
     "NotShuffled": Flag("Samples are taken in file order.", always),
     "EpochBySamples": Flag("The epoch is step * batch_size / samples, as if no batch were incomplete.",
                            lambda i, p, e: p["step"] * p["batch_size"] // p["samples"] != e["epoch"])},
    [Case(f"{samples} samples by {batch_size}, step {step}", {},
          {"seed": seed, "samples": samples, "batch_size": batch_size, "step": step})
     for seed, samples, batch_size, step in (
         (0, 12, 4, 0), (0, 12, 4, 1), (0, 12, 4, 2), (0, 12, 4, 3), (0, 12, 4, 11), (0, 10, 4, 0),
         (0, 10, 4, 1), (0, 10, 4, 2), (0, 10, 4, 3), (0, 10, 4, 14), (0, 10, 4, 17), (3, 7, 1, 6),
         (3, 7, 1, 7), (3, 5, 8, 0), (3, 5, 8, 1), (1, 100, 64, 1), (1, 100, 64, 2), (1, 129, 64, 5))])


def schedule_of(inputs, parameters):
    config = Config(epochs=parameters["epochs"], schedules={"values": tuple(parameters["values"])})
    return {"value": config.at("values", parameters["epoch"])}


def schedule_cases():
    for values, epochs in (([5], 3), ([10, 20], 2), ([10, 20, 30], 20), ([10, 20, 30, 40], 6),
                           ([10, 20, 30], 2)):
        for epoch in range(epochs):
            yield Case(f"{len(values)} values over {epochs} epochs, epoch {epoch}", {},
                       {"values": values, "epochs": epochs, "epoch": epoch})


def other_entry(entry):
    """The predicate of a port that uses another entry: entry(epoch, epochs, number of values)."""
    def shows(inputs, parameters, expected):
        values = parameters["values"]
        index = entry(parameters["epoch"], parameters["epochs"], len(values))
        return values[min(index, len(values) - 1)] != expected["value"]
    return shows


SCHEDULE = Op(
    "The value of a schedule in an epoch (from 0): entry epoch * len(values) / epochs, rounded down.",
    schedule_of,
    {"EpochFromOne": Flag("Epochs are counted from 1.",
                          other_entry(lambda epoch, epochs, n: (epoch + 1) * n // epochs)),
     "RestToTheLast": Flag("Every entry lasts epochs / len(values) epochs, rounded down, and the last has "
                           "the rest.",
                           other_entry(lambda epoch, epochs, n: epoch // max(1, epochs // n))),
     "RoundedUpParts": Flag("Every entry lasts epochs / len(values) epochs, rounded up.",
                            other_entry(lambda epoch, epochs, n: epoch // -(-epochs // n))),
     "OneEntryAnEpoch": Flag("Entry `epoch` is used, and the last one from then on.",
                             other_entry(lambda epoch, epochs, n: epoch))},
    list(schedule_cases()))


OPS = {"perturbation": PERTURBATION, "stable_argsort": ARGSORT, "shuffled": SHUFFLED, "batch_indices": BATCH,
       "schedule": SCHEDULE}
