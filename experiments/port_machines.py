"""The port on other machines, in emulation: the same bits on 32 and 64 of them, and in either order of bytes.

    python -m experiments.port_machines

needs cross compilers and user-mode emulators (PACKAGES below has Debian's), and writes
experiments/results/port_machines.json: how many op cases, records of traces and runs agree on each machine. A machine
whose tools are not at hand is named and left out; without any it is an error.
"""
import argparse
import shutil
import subprocess
import sys
import time

from experiments import port
from experiments.common import QUICK, save_result
from zo_numpy.app.progress import say

PACKAGES = ("qemu-user gcc-s390x-linux-gnu libc6-dev-s390x-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross "
            "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross")
MACHINES = [("s390x", "64 bits, big-endian", "s390x-linux-gnu-gcc", "qemu-s390x"),
            ("ARM", "32 bits, little-endian", "arm-linux-gnueabihf-gcc", "qemu-arm"),
            ("RISC-V", "64 bits, little-endian", "riscv64-linux-gnu-gcc", "qemu-riscv64")]
RUNS = ("solids-int8-k3", "subset-int8-k2-limit")   # the latter is an epoch of the subset, with LeNet-5


def check_machine(compiler, emulator, data):
    """{tier: {"agree": .., "differ": ..}} of one machine, and the seconds that it took."""
    folder = port.BUILD / emulator
    program = port.build(folder, ("-O2", "-static", "-ffp-contract=fast", "-fno-math-errno"), compiler=compiler)
    counts, start = {}, time.monotonic()
    for tier in ("ops", "traces", "runs"):
        words = [emulator, str(program), "check", tier, str(port.GOLDEN / tier)]
        words += [str(data), *RUNS[:1 if QUICK else None]] if tier == "runs" else []
        done = subprocess.run(words, capture_output=True, text=True)
        for line in done.stdout.splitlines()[:-1]:
            say(f"  {line}")
        _, agree, _, differ, _ = done.stdout.splitlines()[-1].split()
        counts[tier] = {"agree": int(agree), "differ": int(differ)}
    return counts, round(time.monotonic() - start)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rows, found = [], [machine for machine in MACHINES if all(map(shutil.which, machine[2:]))]
    if not found:
        print("error: there is no cross compiler with its emulator, so nothing was checked; on Debian: apt install "
              f"{PACKAGES}", file=sys.stderr)
        return 2
    port.write_data(port.BUILD / "data")
    for name, kind, compiler, emulator in MACHINES:
        if (name, kind, compiler, emulator) not in found:
            say(f"{name}: left out, as {compiler} or {emulator} is not at hand")
            continue
        counts, seconds = check_machine(compiler, emulator, port.BUILD / "data")
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        emulated = subprocess.run([emulator, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        rows.append({"machine": name, "kind": kind, "compiler": version, "emulator": emulated, **counts,
                     "seconds": seconds})
        say(f"{name} ({kind}): " + ", ".join(f"{tier} {found['agree']:,} agree, {found['differ']:,} differ"
                                             for tier, found in counts.items()))
        say(f"wrote {save_result('port_machines', {'runs': RUNS, 'machines': rows})}")
    return int(any(found["differ"] for row in rows for found in (row["ops"], row["traces"], row["runs"])))


if __name__ == "__main__":
    sys.exit(main())
