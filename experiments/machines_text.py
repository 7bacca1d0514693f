"""What experiments/port_c99/README.md has of the port on other machines, from the result of port_machines."""
import re

from experiments.cells import markdown_rows
from experiments.common import read_result
from experiments.findings import wrapped
from experiments.port_machines import NAME, failed
from zo_numpy.run.trainer import percent

SMALL, LARGER = 128, 256   # KiB of RAM: what chips with a Cortex-M3 have at most, as a rule; the next size of chips
TIERS = {"ops": "op cases", "traces": "records of traces", "runs": "runs"}


def machines_text():
    """A table, what was trained, and what a step takes without an operating system."""
    result = read_result(NAME)
    parts = [markdown_rows(["machine", "kind", "compiler", *TIERS.values(), "self-test", "digest after the epoch",
                            "accuracy, %"], [row_of(row) for row in result["machines"]]), [wrapped(epoch(result))]]
    if "cortex_m" in result:
        parts.append([wrapped(cortex_m(result["cortex_m"], result["program"]))])
    return "\n\n".join("\n".join(lines) for lines in parts)


def row_of(row):
    trained = row["epoch"]
    return [row["machine"], row["kind"], compiler(row),
            *(f"{row[tier]['agree']:,} of {sum(row[tier].values()):,}" for tier in TIERS),
            passes(row), f"`{trained['weights_sha256'][:12]}`", percent(trained["right"], trained["images"])]


def compiler(row):
    """As 'gcc 12.2.0'."""
    name, number = re.match(r"(\S+) .*?([\d.]+)(?: \d{8})?$", row["compiler"]).groups()
    return f"{name.rpartition('-')[2]} {number}"


def passes(row):
    return "passes" if row["self_test"] else "FAILS"


def epoch(result):
    program, config = result["program"], result["program"]["config"]
    others = failed(result)
    return (f"The epoch: {config['limit']:,} images of {config['data']}, K = {config['bp_tail']}, a batch of "
            f"{config['batch_size']}, the {config['tail_scale']} scale of the tail's steps, from the weights of a run "
            f"on the first {config['first']['limit']:,}; then {program['images']:,} test images, one at a time. "
            f"zo_numpy itself, with `--init-from`: `{program['weights_sha256'][:12]}`, "
            f"{percent(program['right'], program['images'])} %; "
            + (f"OTHERWISE: {', '.join(others)}." if others else "every line of the log is the same everywhere."))


def cortex_m(row, program):
    ram, same = row["static"] + row["stack"], row["weights_sha256"] == program["step_weights_sha256"]
    return (f"{row['machine']} without an operating system ({compiler(row)}): the self-test {passes(row)}. One "
            f"training step on one image takes {row['instructions']:,} instructions, in two runs "
            f"{'' if row['alike'] else 'NOT '}the same; its digest `{row['weights_sha256'][:12]}` is "
            f"{'' if same else 'NOT '}that of zo_numpy. Flash: {row['flash']:,} bytes, of which {row['code']:,} are "
            f"code. RAM: {ram:,} bytes, {row['static']:,} of them static and {row['stack']:,} the stack at its deepest. "
            f"{room_for(ram)}")


def room_for(ram):
    """What chips hold so many bytes of RAM."""
    if ram <= 1024 * SMALL:
        return f"A chip of {SMALL} KiB of RAM holds it."
    return (f"That is more than the {SMALL} KiB of RAM which a chip with this core has at most, as a rule; "
            f"one of {LARGER} KiB {'holds it' if ram <= 1024 * LARGER else 'does not hold it either'}.")
