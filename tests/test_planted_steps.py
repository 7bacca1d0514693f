"""Bugs planted in the library's own step, each named by a vector that needs no data set: by exactly the cases of
short_run that carry its flag, and by a trace with step, phase, op and tensor."""
import contextlib
import json
import pathlib

import pytest

import zo_numpy
from planted import planted
from zo_numpy.app.data import at_hand

PACKAGE = pathlib.Path(zo_numpy.__file__).parent
GOLDEN = pathlib.Path(__file__).parent / "golden"
SHORT_RUN = GOLDEN / "ops" / "short_run.json"
TRACE = "narrow-pointnet-int8-"

QUERY_ZERO = ("int8/draws.py", "rng.words_in_turn(seed, rng.PERTURB, step, tensor, query,",
              "rng.words_in_turn(seed, rng.PERTURB, step, tensor, 0,")
# After each query, and at the end in place of the last query's own update.
OF_QUERY = "        gs.append(zo_gradient(loss_plus, loss_minus))\n"
STEPS_OF_QUERY = OF_QUERY + """        of_query = models.split_tail(model.layers, bp_tail)[1], weights, *kept, labels, settings.b_bp
        steps = (tail.tail_steps(*of_query, functools.partial(record, "minus")) if record
                 else tiled.tail_steps(of_query[0], weights, kept[0], list(kept[1]), labels, settings.b_bp))
        total = CHOSEN
"""
UPDATE = "    else:\n        train_tail(model, bp_tail, weights, *kept, labels, settings, record)\n"
CHOSEN_UPDATE = "    else:\n        tail.update_tail(weights, total)\n"


def of_queries(chosen):
    return "int8/variants.py", OF_QUERY, STEPS_OF_QUERY.replace("CHOSEN", chosen), UPDATE, CHOSEN_UPDATE


@contextlib.contextmanager
def with_bug(tmp_path, name, file, old, new, *another):
    """The function that imports a module of a copy of the package with one or two pieces of a file replaced."""
    with planted(tmp_path, PACKAGE, name, file, old, new) as (module, path):
        if another:
            assert path.read_text().count(another[0]) == 1
            path.write_text(path.read_text().replace(*another))
        yield module


IN_TRAINING = {   # flag of short_run: (file, the right text, the bug)
    "QueryAlwaysZero": QUERY_ZERO,
    "PassesAveraged": ("int8/tiled.py", "step += earlier[name][place]\n",
                       "step[:] = np.trunc((step + earlier[name][place]) / 2)\n"),
    "BothDropsFirstPass": ("int8/tiled.py", "            if earlier:\n", "            if False:\n"),
    "FrozenStepsZ": ("int8/variants.py",
                     "        return frozen_step(model, bp_tail, weights, images, labels, settings, "
                     "record)\n",
                     "        outcome = frozen_step(model, bp_tail, weights, images, labels, settings, record)\n"
                     "        perturb(weights, zo_tensors(model, bp_tail), -1, seed, step, settings)\n"
                     "        restore_and_update(weights, zo_tensors(model, bp_tail), [1], seed, step, settings)\n"
                     "        return outcome\n"),
    "TailStepsSummed": of_queries("add_steps(total, steps) if query else steps"),
    "TailStepsOfQueryZero": of_queries("total if query else steps"),
}


@pytest.mark.parametrize("flag", IN_TRAINING)
def test_a_bug_of_a_step_fails_the_cases_that_carry_its_flag_and_no_others(tmp_path, flag):
    cases = json.loads(SHORT_RUN.read_text())["cases"]
    with with_bug(tmp_path, f"planted_{flag.lower()}", *IN_TRAINING[flag]) as module:
        mismatches, _ = module("golden.ops").check_file(SHORT_RUN)
    failed = {mismatch.case for mismatch in mismatches}
    single = {case["id"] for case in cases if case["parameters"]["tail_passes"] == "second"}
    flagged = {case["id"] for case in cases if flag in case["flags"]}
    if flag.startswith("TailSteps"):   # of both passes the planted step has those of the last query alone
        failed, flagged = failed & single, flagged & single
    assert failed == flagged != set()


TRACED = {   # bug: (trace, where it is planted, what is said first)
    "query is always 0": ("k1-queries2", QUERY_ZERO, "step 0, phase plus1, op weights, tensor mlp1: its sha256"),
    "frozen steps z": ("k2-frozen", IN_TRAINING["FrozenStepsZ"],
                       "step 0, phase update, op weights, tensor mlp1: its sha256"),
    "passes averaged": ("k3-both", ("int8/variants.py", "first[name] + second[name] for",
                                    "(first[name] + second[name]) // 2 for"),
                        "step 0, phase update, op weights, tensor fc1: its sha256"),
    "both drops the first pass": ("k3-both", ("int8/variants.py", "first[name] + second[name] for",
                                              "second[name] for"),
                                  "step 0, phase update, op weights, tensor fc1: its sha256"),
    "tail steps summed over queries": ("k1-queries2", IN_TRAINING["TailStepsSummed"],
                                       "step 0, phase update, op weights, tensor fc3: its sha256"),
    "tail steps of query 0": ("k1-queries2", IN_TRAINING["TailStepsOfQueryZero"],
                              "step 0, phase update, op weights, tensor fc3: its sha256"),
}


@pytest.mark.parametrize("bug", TRACED)
def test_a_bug_of_a_step_is_named_by_a_trace(tmp_path, bug):
    kind, place, words = TRACED[bug]
    with with_bug(tmp_path, "planted_" + "".join(filter(str.isalnum, bug)), *place) as module:
        module("golden.committed").make_trace(TRACE + kind, at_hand, tmp_path / "trace")
        compared, differences = module("golden.check").differences_of(GOLDEN / "traces" / (TRACE + kind),
                                                                      tmp_path / "trace")
    assert compared and differences[0] == words + " differs; its inputs agree"
