"""Ports with one bug each: BUGS[op][flag], and the flags that a case of a golden file carries because of them.

A bug is called as bug(twin, inputs, parameters), twin being the op of twin_ops.py, and gives what a port that has it,
and no other, would.
"""
import bugs_arith
import bugs_draws
import bugs_layers
import bugs_loss
import bugs_points
import bugs_random
import bugs_run
import bugs_scale
import bugs_tail
import bugs_zo
from twin_ops import TWINS

BUGS = {**bugs_random.BUGS, **bugs_draws.BUGS, **bugs_arith.BUGS, **bugs_layers.BUGS, **bugs_points.BUGS,
        **bugs_loss.BUGS, **bugs_tail.BUGS, **bugs_scale.BUGS, **bugs_zo.BUGS, **bugs_run.BUGS}


def flags_of(op, case):
    """The flags whose bug gives another answer than is expected in some field, intermediate results included."""
    return [flag for flag, bug in BUGS[op].items()
            if bug(TWINS[op], case["inputs"], case["parameters"]) != case["expected"]]
