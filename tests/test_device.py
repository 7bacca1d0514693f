"""The exported program on machines that are not at hand: what `export` writes for them, what port_machines makes of it,
and, where arm-none-eabi-gcc and qemu-system-arm are, the image for a Cortex-M3 without an operating system."""
import json
import re
import shutil
import subprocess

import pytest

from experiments import machines_text, port_device, port_machines
from experiments.common import COMMITTED
from small_runs import main, train, write_digits

TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "make", "cc")
on_board = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"one of {', '.join(TOOLS)} is not here")
STRICTER = "CORTEX_M=-mcpu=cortex-m3 -mthumb -O1 -Wextra -Wconversion -Wl,--fatal-warnings"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported program of single samples, with the running scale of the tail's steps."""
    place = tmp_path_factory.mktemp("device")
    run = train(write_digits(place / "digits"), place / "run", "--batch-size", "1", "--tail-scale", "running",
                "--limit", "20", epochs=1)
    assert main(["export", str(run), "--format", "c", "--out", str(place / "net")]) == 0
    return place / "net"


def made(folder, goal, *words):
    return subprocess.run(["make", "-s", "-C", str(folder), goal, *words], capture_output=True, text=True)


def test_export_writes_what_an_image_needs(folder):
    board = folder / "port_c99" / "device" / "cortex_m"
    assert {path.name for path in board.iterdir()} == {"board.h", "main.c", "mps2.ld", "startup.c"}
    makefile = (folder / "Makefile").read_text()
    assert "cortex-m: net.elf\n" in makefile and "-T $(BOARD)/mps2.ld" in makefile
    kept = re.findall(r"extern unsigned char ([\w\[\], \n]+);", "".join(path.read_text() for path in board.glob("*.c")))
    defined = re.findall(r"^ +(\w+) = ", (board / "mps2.ld").read_text(), re.M) + ["data_image", "flash_end"]
    assert {name for names in kept for name in re.findall(r"\w+", names)} == set(defined)


@on_board
def test_image_gives_the_digest_of_zo_numpy_and_counts_the_same_twice(folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "net")
    assert tuple(vars(made(place, "cortex-m", STRICTER)).values())[1:] == (0, "", "")
    first, second = (made(place, "cortex-m-test") for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "") and first.stdout == second.stdout
    assert first.stdout.startswith("self-test passed\n")
    digest = re.findall(r'"([0-9a-f]{64})"', (place / "net_model.c").read_text())[-1]
    assert re.search(r"^weights sha256 (\w+) after", first.stdout, re.M)[1] == digest
    told = {name: int(re.search(rf"^{name} +(\d+)", first.stdout, re.M)[1]) for name in port_device.FACTS}
    assert 1_000_000 < told["instructions"] < 50_000_000   # a narrow network; with z drawn and two passes
    assert 0 < told["code"] < told["flash"] == sum(sizes(place / "net.elf"))
    assert 1024 < told["stack"] < 32 * 1024 and told["static"] > 1024
    text = told_by("nm", place / "net.elf")
    linked = set(re.findall(r"^[0-9a-f]+ [Tt] (\w+)$", text, re.M))   # no allocation, no routine of floats
    assert {name for name in linked if name.startswith("__")} <= {
        "__aeabi_ldivmod", "__aeabi_uldivmod", "__udivmoddi4", "__aeabi_idiv0", "__aeabi_ldiv0"}
    assert not linked & {"malloc", "_malloc_r", "_sbrk", "printf"} and "device_train" in linked


def sizes(image):
    """Bytes of the parts of an image that lie in flash, as the tools of the compiler tell them."""
    return [int(number) for number in told_by("size", image).splitlines()[1].split()[:2]]


def told_by(tool, image):
    return subprocess.run([f"arm-none-eabi-{tool}", str(image)], capture_output=True, text=True, check=True).stdout


@on_board
def test_image_notices_a_wrong_weight_and_a_clock_that_counts_no_instructions(folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "net")
    source, makefile = place / "net_model.c", place / "Makefile"
    text = source.read_text()
    begin = text.index("{", text.index("net_conv1["))
    number = text[begin + 1:].split(",")[0].strip()
    source.write_text(text[:begin] + text[begin:].replace(number, str(int(number) // 2 - 5), 1))
    makefile.write_text(makefile.read_text().replace("shift=7", "shift=6"))
    done = made(place, "cortex-m-test")
    assert done.returncode and "self-test FAILED: other than zo_numpy's are the weights\n" in done.stdout
    assert "instructions cannot be counted here" in done.stdout


@on_board
def test_port_machines_takes_what_the_image_tells(folder, tmp_path):
    digest = re.findall(r'"([0-9a-f]{64})"', (folder / "net_model.c").read_text())[-1]
    program = port_device.Program(folder, b"", [], "", 0, 0, digest, {})
    row = port_device.bare_metal(program, tmp_path / "net")
    assert row["self_test"] and row["alike"] and row["weights_sha256"] == digest
    main_c = folder / "port_c99" / "device" / "cortex_m" / "main.c"
    assert all(row[name] > 0 and f'"{name} ' in main_c.read_text() for name in port_device.FACTS)


def test_port_machines_without_tools_is_an_error_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["port_machines"])
    monkeypatch.setattr(port_machines.shutil, "which", lambda name: None)
    assert port_machines.main() == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and "--help" in err
    assert "gcc-riscv64-linux-gnu" in port_machines.__doc__ and "libnewlib-arm-none-eabi" in port_machines.__doc__


def test_port_machines_names_what_it_leaves_out_and_what_differs(monkeypatch, capsys):
    agrees = {"ops": {"agree": 1, "differ": 0}, "self_test": True, "agrees": True}
    monkeypatch.setattr("sys.argv", ["port_machines"])
    monkeypatch.setattr(port_machines.shutil, "which", lambda name: "riscv" not in name and "eabi-" not in name)
    monkeypatch.setattr(port_machines.port, "write_data", lambda folder: None)
    monkeypatch.setattr(port_machines.port_device, "write_program", lambda folder: port_device.Program(
        folder, b"", [], "d", 1, 2, "s", {}))
    saved = []
    monkeypatch.setattr(port_machines, "save_result", lambda name, result: saved.append(result))
    for row, status in ((agrees, 0), ({**agrees, "agrees": False}, 1), ({**agrees, "ops": {"differ": 1}}, 1)):
        monkeypatch.setattr(port_machines, "check_machine", lambda machine, program: {"machine": machine.name, **row})
        assert port_machines.main() == status
        out = capsys.readouterr().out
        assert "RISC-V: left out, as riscv64-linux-gnu-gcc and qemu-riscv64 are not at hand" in out
        assert saved[-1]["left_out"] == ["RISC-V", "Cortex-M3"] and "cortex_m" not in saved[-1]
        assert port_machines.failed(saved[-1]) == [row["machine"] for row in saved[-1]["machines"]] * status


def test_what_is_committed_agrees_on_every_machine():
    result = json.loads((COMMITTED / "port_machines.json").read_text())
    program, rows = result["program"], result["machines"]
    assert [row["machine"] for row in rows][1:] == ["s390x", "ARM", "RISC-V"] and not result["left_out"]
    for row in rows:
        assert row["self_test"] and not any(row[tier]["differ"] for tier in ("ops", "traces", "runs"))
        assert row["epoch"] == {"steps_agree": program["config"]["limit"], "steps_differ": 0,
                                "weights_sha256": program["weights_sha256"], "right": program["right"],
                                "images": 2000}
    image = result["cortex_m"]
    assert image["self_test"] and image["alike"] and image["weights_sha256"] == program["step_weights_sha256"]
    assert "+" not in result["made_with"]["commit"]
    text = " ".join(machines_text.machines_text().split())
    for shown in (f"{image['instructions']:,} instructions", f"Flash: {image['flash']:,} bytes",
                  f"RAM: {image['static'] + image['stack']:,} bytes", f"| {program['right'] / 20:.2f} |"):
        assert shown in text
    assert "NOT" not in text and "FAILS" not in text and text.count(program["weights_sha256"][:12]) == len(rows) + 1


@pytest.mark.parametrize("change, shown", [
    (("cortex_m", "alike", False), "two runs NOT the same"), (("cortex_m", "weights_sha256", "0" * 64), "NOT that of"),
    (("cortex_m", "static", 1000), "A chip of 128 KiB"), (("cortex_m", "static", 300_000), "does not hold it either"),
    (("machines", "agrees", False), "OTHERWISE: x86-64"), (("machines", "self_test", False), "| FAILS |")])
def test_text_says_what_does_not_agree(monkeypatch, change, shown):
    result = json.loads((COMMITTED / "port_machines.json").read_text())
    part, name, value = change
    (result[part] if part == "cortex_m" else result[part][0])[name] = value
    monkeypatch.setattr(machines_text, "read_result", lambda name: result)
    assert shown in " ".join(machines_text.machines_text().split())
