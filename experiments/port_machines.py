"""The port on other machines, in emulation: the same bits on 32 and 64 of them, in either order of bytes, and without
an operating system.

    python -m experiments.port_machines

writes experiments/results/port_machines.json. Of each machine: how many op cases, records of traces and runs agree; and
whether an exported program tests itself, trains for an epoch of the MNIST subset and classifies as zo_numpy does
(port_device.py). Of a Cortex-M3 without an operating system: the self-test, and the instructions and bytes of a
training step, in which one instruction is told from the next. A machine whose tools are not at hand is named and left
out; without any it is an error. Ten to twenty minutes, most of it emulation. On Debian this has all of them:

    apt install gcc make qemu-user qemu-system-arm gcc-s390x-linux-gnu libc6-dev-s390x-cross gcc-arm-linux-gnueabihf \\
        libc6-dev-armhf-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-arm-none-eabi libnewlib-arm-none-eabi
"""
import argparse
import platform
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

from experiments import port, port_device
from experiments.common import QUICK, save_result
from zo_numpy.app.progress import say
from zo_numpy.errors import UserError

NAME = "port_machines"
RUNS = ("solids-int8-k3", "subset-int8-k2-limit")   # the latter is an epoch of the subset, with LeNet-5
FLAGS = ("-O2", "-static", "-ffp-contract=fast", "-fno-math-errno")


class Machine(NamedTuple):
    name: str
    kind: str
    compiler: str
    emulator: str | None   # None: no emulation


HERE = Machine(platform.machine().replace("_", "-"),
               f"{64 if sys.maxsize > 2**32 else 32} bits, {sys.byteorder}-endian", port.CC, None)
MACHINES = (Machine("s390x", "64 bits, big-endian", "s390x-linux-gnu-gcc", "qemu-s390x"),
            Machine("ARM", "32 bits, little-endian", "arm-linux-gnueabihf-gcc", "qemu-arm"),
            Machine("RISC-V", "64 bits, little-endian", "riscv64-linux-gnu-gcc", "qemu-riscv64"))
CORTEX_M = Machine("Cortex-M3", "32 bits, little-endian, no operating system", "arm-none-eabi-gcc", "qemu-system-arm")


def lacking(machine):
    """Its tools that are not at hand."""
    return [tool for tool in machine[2:] if tool and not shutil.which(tool)]


def version(tool):
    """The first line that a tool says of itself; None of no tool."""
    return tool and subprocess.run([tool, "--version"], capture_output=True, text=True).stdout.splitlines()[0]


def tools(machine):
    return {"machine": machine.name, "kind": machine.kind, "compiler": version(machine.compiler),
            "emulator": version(machine.emulator)}


def flags(machine):
    return FLAGS if machine.emulator else tuple(flag for flag in FLAGS if flag != "-static")


def check_vectors(machine, folder):
    """{tier: {"agree": .., "differ": ..}} of one machine."""
    program, counts = port.build(folder, flags(machine), compiler=machine.compiler), {}
    for tier in ("ops", "traces", "runs"):
        words = [*filter(None, [machine.emulator]), str(program), "check", tier, str(port.GOLDEN / tier)]
        words += [str(port.BUILD / "data"), *RUNS[:1 if QUICK else None]] if tier == "runs" else []
        done = subprocess.run(words, capture_output=True, text=True)
        for line in done.stdout.splitlines()[:-1]:
            say(f"  {line}")
        _, agree, _, differ, _ = done.stdout.splitlines()[-1].split()
        counts[tier] = {"agree": int(agree), "differ": int(differ)}
    return counts


def check_machine(machine, program):
    """A row of the result."""
    start, folder = time.monotonic(), port.BUILD / "machines" / (machine.emulator or "here")
    counts = check_vectors(machine, folder)
    found = port_device.checked(program, folder / "program", machine.compiler, flags(machine), machine.emulator)
    row = {**tools(machine), **counts, **found, "agrees": port_device.agrees(program, found),
           "seconds": round(time.monotonic() - start)}
    say(f"{machine.name} ({machine.kind}): "
        + ", ".join(f"{tier} {count['agree']:,} agree, {count['differ']:,} differ" for tier, count in counts.items())
        + f"; the exported program {'agrees' if row['agrees'] else 'DIFFERS'}, {row['seconds']} s")
    return row


def check_cortex_m(program):
    """The result of the image without an operating system."""
    row = port_device.bare_metal(program, port.BUILD / "machines" / "cortex_m")
    row = {**tools(CORTEX_M), **row, "agrees": row["self_test"] and row["alike"]
           and row["weights_sha256"] == program.step_digest}
    say(f"{CORTEX_M.name}: {'agrees' if row['agrees'] else 'DIFFERS'}, {row['instructions']:,} instructions a step, "
        f"{row['flash']:,} bytes of flash, {row['static'] + row['stack']:,} of RAM")
    return row


def failed(result):
    """The machines that do not agree in everything."""
    return [row["machine"] for row in (*result["machines"], *filter(None, [result.get("cortex_m")]))
            if not row["agrees"] or any(row.get(tier, {}).get("differ") for tier in ("ops", "traces", "runs"))]


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    absent = {machine: names for machine in (HERE, *MACHINES, CORTEX_M) if (names := lacking(machine))}
    if all(machine in absent for machine in (*MACHINES, CORTEX_M)) or not shutil.which("make") or HERE in absent:
        print("error: there is no cross compiler with its emulator, or no compiler for this machine, or no make, so "
              "nothing was checked; --help names Debian's packages", file=sys.stderr)
        return 2
    for machine, names in absent.items():
        say(f"{machine.name}: left out, as {' and '.join(names)} {'is' if len(names) == 1 else 'are'} not at hand")
    try:
        port.write_data(port.BUILD / "data")
        program = port_device.write_program(port.BUILD / "machines" / "exported")
        result = {"runs": RUNS, "left_out": [machine.name for machine in absent], "program": {
            "config": program.config, "weights_sha256": program.digest, "right": program.right,
            "images": program.images, "step_weights_sha256": program.step_digest}, "machines": []}
        if CORTEX_M not in absent:
            result["cortex_m"] = check_cortex_m(program)
        for machine in (machine for machine in (HERE, *MACHINES) if machine not in absent):
            result["machines"].append(check_machine(machine, program))
        say(f"wrote {save_result(NAME, result)}")   # once: a result that has changed would be a change of the commit
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(bool(failed(result)))


if __name__ == "__main__":
    sys.exit(main())
