"""Ports with one bug each in what they draw while training: BUGS[op][flag], see bugs.py."""

import twins
from bugs_common import answering, misread, using, wrapped
from bugs_random import (COUNTER_BUMP, HIGH_HALF_FIRST, QUERY_IGNORED, SEED_IGNORED, STEP_IGNORED,
                         TENSOR_FROM_ONE, TENSOR_IGNORED, addressed)


def z_of(bug):
    """A bug in drawing z, which leaves the half-words that the case shows alone."""
    return lambda twin, i, p: {**twin(i, p), "z": bug(twin, i, p)["z"]}


def element(magnitude=lambda h, r: h & r, kept=lambda high, n: high < 256 - n, negative=lambda h: h & 128):
    """The bug of a port that makes an element of z of a half-word h with other parts: r is r_max, n p_zero."""
    return using(perturbation_of=lambda h, r, n: (
        (-1 if negative(h) else 1) * (magnitude(h, r) if kept(h >> 8, n) else 0)))


PERTURBATION = {
    "KeepOneMore": element(kept=lambda high, n: high <= 256 - n),
    "DropBelow": element(kept=lambda high, n: high >= n),
    "KeepIsDrop": element(kept=lambda high, n: high < n),
    "SignInverted": element(negative=lambda h: not h & 128),
    "SignFromBit6": element(negative=lambda h: h & 64),
    "SignFromBit15": element(negative=lambda h: h & 2**15),
    "ModuloInsteadOfMask": element(magnitude=lambda h, r: h % r),
    "HalfWordOrder": z_of(HIGH_HALF_FIRST),
    "CounterBump": z_of(COUNTER_BUMP),
    "WrongStream": z_of(using(PERTURB=0)),
    "ZNotReplayed": z_of(STEP_IGNORED),
    "TensorIndex": z_of(TENSOR_FROM_ONE),
    "TensorIgnored": z_of(TENSOR_IGNORED),
    "QueryIgnored": z_of(QUERY_IGNORED),
    "SeedIgnored": z_of(SEED_IGNORED)}


def by_key(key):
    """The bug of a port that sorts the words, stably, by key(word)."""
    return answering(order=lambda i, p, right: sorted(range(len(i["words"])),
                                                      key=lambda k: key(i["words"][k])))


def subtracting(i, p, right):
    """Insertion sort with a comparator that subtracts."""
    order = []
    for k, word in enumerate(i["words"]):
        place = len(order)
        while place and wrapped(i["words"][order[place - 1]] - word, 64) > 0:
            place -= 1
        order.insert(place, k)
    return order


RANKS = answering(order=lambda i, p, right: [right["order"].index(k) for k in range(len(right["order"]))])

ARGSORT = {
    "UnstableSort": answering(order=lambda i, p, right: sorted(right["order"],
                                                               key=lambda k: (i["words"][k], -k))),
    "SignedCompare": by_key(lambda word: wrapped(word, 64)),
    "SubtractingComparator": answering(order=subtracting),
    "FloatKeys": by_key(float),
    "Keys32": by_key(lambda word: word % 2**32),
    "Descending": by_key(lambda word: -word),
    "RanksNotOrder": RANKS}


def fisher_yates(i, p, right):
    order = list(range(p["count"]))
    for k in range(p["count"] - 1, 0, -1):
        other = right["words"][k] % (k + 1)
        order[k], order[other] = order[other], order[k]
    return order


SHUFFLED = {
    "WrongStream": addressed(lambda seed, stream, *rest: (seed, 0, *rest)),
    "EpochIgnored": STEP_IGNORED,
    "EpochAsTensor": addressed(lambda seed, stream, step, tensor, *rest: (seed, stream, tensor, step, *rest)),
    "EpochFromOne": misread(epoch=lambda p: p["epoch"] + 1),
    "SeedIgnored": SEED_IGNORED,
    "RanksNotOrder": RANKS,
    "FisherYates": answering(order=fisher_yates),
    "CounterBump": COUNTER_BUMP}


def batch(steps_of, epoch_of=None, indices_of=None):
    """The bug of a port that cuts epochs in another way."""
    def bug(twin, i, p):
        samples, size, step = p["samples"], p["batch_size"], p["step"]
        steps = steps_of(samples, size)
        if not steps:
            return {"steps_per_epoch": 0, "epoch": 0, "indices": []}
        epoch = epoch_of(step, samples, size) if epoch_of else step // steps
        first = (step - epoch * steps) * size
        order = twins.shuffled(p["seed"], epoch, samples)
        indices = indices_of(order, first, size) if indices_of else order[max(0, first):first + size]
        return {"steps_per_epoch": steps, "epoch": epoch, "indices": indices}
    return bug


def rounded_up(samples, size):
    return -(-samples // size)


BATCH = {
    "LastBatchDropped": batch(lambda samples, size: samples // size),
    "LastBatchFilled": batch(rounded_up, None, lambda order, first, size: (order * size)[first:first + size]),
    "EpochIgnored": STEP_IGNORED,
    "NotShuffled": using(shuffled=lambda seed, epoch, count: list(range(count))),
    "EpochBySamples": batch(rounded_up, lambda step, samples, size: step * size // samples)}


def entry(index):
    """The bug of a port that uses another entry, the last at most: index(epoch, epochs, number of values)."""
    return answering(value=lambda i, p, right: (p["values"] + [p["values"][-1]] * 10**3)[
        index(p["epoch"], p["epochs"], len(p["values"]))])


SCHEDULE = {
    "EpochFromOne": entry(lambda epoch, epochs, count: (epoch + 1) * count // epochs),
    "RestToTheLast": entry(lambda epoch, epochs, count: epoch // max(1, epochs // count)),
    "RoundedUpParts": entry(lambda epoch, epochs, count: epoch // -(-epochs // count)),
    "OneEntryAnEpoch": entry(lambda epoch, epochs, count: epoch)}


BUGS = {"perturbation": PERTURBATION, "stable_argsort": ARGSORT, "shuffled": SHUFFLED, "batch_indices": BATCH,
        "schedule": SCHEDULE}
