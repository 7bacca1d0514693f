"""The port in C99 (port_c99/), built with the system's compiler and checked against every golden vector: `make port`.

    python -m experiments.port [--full]

builds it into build/port, checks every op case, trace and run log, and prints how many agree. Runs over MNIST are made
where it is at hand, and else named as skipped. With --full the sanitizers are on, for every vector.
"""
import argparse
import concurrent.futures
import gzip
import os
import platform
import re
import shutil
import struct
import subprocess
import sys

import datasets
from experiments.common import ROOT
from zo_numpy.app import flat_data
from zo_numpy.app.data import load_data
from zo_numpy.errors import UserError
from zo_numpy.run.config_json import read_config

SOURCE = ROOT / "experiments" / "port_c99"
BUILD = ROOT / "build" / "port"
GOLDEN = ROOT / "tests" / "golden"
FOLDERS = ("", "int8", "fp32", "device", "harness")
CC = os.environ.get("CC", "cc")
STANDARD = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror")
# The same for both precisions. Nothing may reorder a sum; a product and a sum may become one instruction, which C99
# leaves to the implementation; errno is not asked for.
BASELINE = ("-O3", "-ffp-contract=fast", "-fno-math-errno")
NATIVE = (*BASELINE, "-march=native")
TRAINING = (*NATIVE, "-DINTRINSICS")   # of rows of experiments, never of what is timed: int8/tiled_avx512.h
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover")
# Of the optimised INT8 objects no instruction may match: arithmetic, conversions and comparisons of floats on x86-64
# (moves and integers in the same registers may).
FLOAT = re.compile(r"^v?(add|sub|mul|div|sqrt|max|min|fn?m(add|sub)\w*|rcp|rsqrt|rcp14|rsqrt14|hadd|hsub|addsub|dp"
                   r"|round|rndscale|cmp\w*|u?comi|reduce|getexp|getmant|scalef|fixupimm|range)[sp][sdh]$"
                   r"|^v?cvt\w*$|^f(add|sub|mul|div|sqrt|ild|ist|com|ucom|ld|st)\w*$", re.ASCII)
# Nor may they want a routine for floats: of libgcc and its like (names with modes: sf, df, tf are floats of 32, 64 and
# 128 bits, sc a complex one, sd a decimal one, si and di integers), or of ARM's run-time ABI.
_FLOATS, _INTEGERS = "([bhsdxtk]f|[sdxtk]c|[sdt]d)", "([hsdt]i|bitint)"
SOFT_FLOAT = re.compile(r"_?__(bid_|dpd_|gnu_|mips16_)?("
                        rf"(add|sub|mul|div|powi|neg|cmp|eq|ne|lt|le|gt|ge|unord){_FLOATS}\d"
                        rf"|fix(uns)?{_FLOATS}{_INTEGERS}|float(uns?)?{_INTEGERS}{_FLOATS}"
                        rf"|(extend|trunc){_FLOATS}{{2}}\d?|[fhd]2[fhd]_\w+)"
                        r"|__aeabi_([fd]\w+|c[fd]r?cmp\w+|h2f\w*|u?[il]2[fd])", re.ASCII)


def found_compiler():
    """The compiler's path, or None."""
    return shutil.which(CC)


def sources(*folders):
    """The .c files of the port's folders; "" is its own."""
    return sorted(path for folder in folders for path in (SOURCE / folder).glob("*.c"))


def build(folder, flags=BASELINE, source=SOURCE, compiler=CC):
    """Compiles the port into `folder`, file by file on all cores; returns the program's path.

    Raises UserError with the compiler's first lines if a file does not compile without a warning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [path for part in FOLDERS for path in sorted((source / part).glob("*.c"))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda path: compile_file(path, folder, flags, compiler), files))
    link = None
    if not any(done.returncode for _, done in made):
        link = subprocess.run([compiler, *flags, *(str(compiled) for compiled, _ in made), "-lm", "-o",
                               str(folder / "port")], capture_output=True, text=True)
    for done in (*(done for _, done in made), *([link] if link else [])):
        if done.returncode:
            raise UserError(f"{compiler} does not compile the port:\n" + "\n".join(done.stderr.splitlines()[:12]))
    return folder / "port"


def compile_file(path, folder, flags, compiler=CC):
    """(the object file of a .c file, the finished process that compiled it)."""
    compiled = folder / f"{path.parent.name}_{path.stem}.o"
    return compiled, subprocess.run([compiler, *STANDARD, *flags, "-c", str(path), "-o", str(compiled)],
                                    capture_output=True, text=True)


def write_data(folder):
    """What the golden runs train on, as the port reads it: the subset's IDX files, and a flat file for each run on
    solids; MNIST's IDX files where it is at hand.
    """
    subset = folder / "mnist-subset"
    subset.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "datasets" / "embedded").glob("*.gz")):
        (subset / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    for name in sorted(path.name for path in (GOLDEN / "runs").glob("solids-*")):
        config = read_config(GOLDEN / "runs" / name)
        flat_data.export_data(config, load_data(config, offline=True, announce=lambda text: None),
                              folder / f"{name}.flat")
    mnist = datasets.load("mnist", offline=True, announce=lambda text: None)
    if mnist.complete:   # else it has not been fetched, and this is the subset
        write_idx(mnist, folder / "mnist")


def write_idx(dataset, folder):
    """Writes a data set of images as four plain IDX files."""
    folder.mkdir(exist_ok=True)
    for part, images, labels in (("train", dataset.train_images, dataset.train_labels),
                                 ("t10k", dataset.test_images, dataset.test_labels)):
        count, _, height, width = images.shape
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, height, width)
                                                           + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count)
                                                           + labels.astype("u1").tobytes())


def check(program, tiers=("ops", "traces", "runs"), data=BUILD / "data", runs=()):
    """Runs `port check` for each tier, of runs those that are named or all, on all cores.

    Returns [(tier, whether all agree, what it printed)], with one line of counts at the end of each.
    """
    jobs = []
    for tier in tiers:
        names = sorted(path.name for path in (GOLDEN / tier).iterdir() if path.is_dir())
        jobs += [(tier, [])] if tier == "ops" else [(tier, [name]) for name in (tier == "runs" and runs or names)]

    def one(job):
        tier, named = job
        words = [str(program), "check", tier, str(GOLDEN / tier), *([str(data)] if tier == "runs" else []), *named]
        done = subprocess.run(words, capture_output=True, text=True)
        return done.stdout + done.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = list(pool.map(one, jobs))
    results = []
    for tier in tiers:
        said, agree, differ = [], 0, 0
        for text in (text for job, text in zip(jobs, texts) if job[0] == tier):
            *lines, last = text.splitlines() or [""]
            counts = re.fullmatch(rf"{tier}: (\d+) agree, (\d+) differ", last)
            said += lines if counts else [*lines, last or f"{tier}: the program said nothing"]
            agree, differ = agree + int(counts[1] if counts else 0), differ + int(counts[2] if counts else 1)
        said.append(f"{tier}: {agree:,} agree, {differ:,} differ")
        results.append((tier, agree > 0 and not differ, "\n".join(said) + "\n"))
    return results


def float_instructions(objects):
    """[(object's name, instruction or routine)] of float arithmetic in object files for this machine; None where
    objdump is not at hand.
    """
    if not shutil.which("objdump"):
        return None
    found = []
    for path in objects:
        text = subprocess.run(["objdump", "-d", "-r", "--no-show-raw-insn", str(path)], capture_output=True,
                              text=True, check=True).stdout
        for line in text.splitlines():
            fields = line.split("\t")
            words = (fields[1].split() if len(fields) > 1 else [])
            if words and (FLOAT.match(words[0]) or FLOAT.match(" ".join(words[:2]))):
                found.append((path.name, " ".join(words)))
    return found + soft_floats(objects)


def soft_floats(objects):
    """[(object's name, routine)] of the soft-float routines that object files want, of whatever machine; needs nm."""
    wanted = [(path.name, line.split()[-1]) for path in objects for line in subprocess.run(
        ["nm", "-u", str(path)], capture_output=True, text=True, check=True).stdout.splitlines() if line.strip()]
    return [(name, routine) for name, routine in wanted if SOFT_FLOAT.fullmatch(routine)]


def general_registers_only(folder):
    """Compiles the INT8 files without any register that a float could stand in; None where the machine has no such
    option, else what the compiler says (nothing, if all is well).
    """
    if platform.machine() not in ("x86_64", "AMD64", "aarch64"):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    files = (*sources("int8", "device"), SOURCE / "rng.c", SOURCE / "models.c")
    return "".join(compile_file(path, folder, ("-O1", "-mgeneral-regs-only"))[1].stderr for path in files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="with sanitizers, which take some minutes")
    given = parser.parse_args()
    if not found_compiler():
        print(f"error: there is no {CC}; install a C compiler, or name one: CC=/path/to/cc", file=sys.stderr)
        return 2
    try:
        program = build(BUILD / "sanitized" if given.full else BUILD, SANITIZERS if given.full else BASELINE)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_data(BUILD / "data")
    results = check(program)
    print("".join(text for _, _, text in results), end="")
    said = general_registers_only(BUILD / "general")
    if said is not None:
        print(said or "INT8 files compile without float registers")
    return int(bool(said) or not all(right for _, right, _ in results))


if __name__ == "__main__":
    sys.exit(main())
