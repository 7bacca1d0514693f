"""Bugs planted in the library's own step, each named by a vector that needs no data set: by exactly the cases of
short_run that carry its flag, and by a trace with step, phase, op and tensor."""
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
# The lines of the loop over the queries behind the passes, and of the tail's update.
OF_QUERIES = """        losses.append((loss_plus, loss_minus))
        gs.append(zo_gradient(loss_plus, loss_minus))
        if not last:
            perturb(weights, zo_names, +1, seed, step, settings, query)
    if both:
        _train_tail_of_both(model, bp_tail, weights, *kept, labels, settings, first, record)
    else:
        train_tail(model, bp_tail, weights, *kept, labels, settings, record)
"""
ALL_QUERIES = """        losses.append((loss_plus, loss_minus))
        gs.append(zo_gradient(loss_plus, loss_minus))
        steps = _steps_of("minus", model, bp_tail, weights, *kept, labels, settings, record)
        if both and not last:
            first = {}
        steps = add_steps(first, steps) if first else steps
        total = CHOSEN
        if not last:
            perturb(weights, zo_names, +1, seed, step, settings, query)
    tail.update_tail(weights, total)
"""


def of_queries(chosen):
    return "int8/variants.py", OF_QUERIES, ALL_QUERIES.replace("CHOSEN", chosen)


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
    with planted(tmp_path, PACKAGE, f"planted_{flag.lower()}", *IN_TRAINING[flag]) as (module, _):
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
    with planted(tmp_path, PACKAGE, "planted_" + "".join(filter(str.isalnum, bug)), *place) as (module, _):
        check = module("golden.check")
        check.make_trace(TRACE + kind, at_hand, tmp_path / "trace")
        compared, differences = check.differences_of(GOLDEN / "traces" / (TRACE + kind), tmp_path / "trace")
    assert compared and differences[0] == words + " differs; its inputs agree"
