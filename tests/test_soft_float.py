"""Float arithmetic that a compiler makes calls of is found in the port's objects: on machines without a float unit an
instruction shows nothing."""
import shutil
import subprocess

import pytest

from experiments import port

FLOATS = """__addsf3 __subdf3 __multf3 __divxf3 __mulhf3 __mulkf3 __negsf2 __powidf2 __muldc3 __fixsfsi __fixunsdfdi
__floatsisf __floatundidf __floatunsisf __floattitf __extendsfdf2 __extendhfsf2 __truncdfsf2 __trunctfxf2 __truncsfbf2
__cmpdf2 __unordsf2 __eqsf2 __nedf2 __lttf2 __lesf2 __gtdf2 __gesf2 __bid_muldd3 __dpd_addsd3 __gnu_h2f_ieee
__gnu_f2h_ieee __floatbitintdf ___multf3 __aeabi_fadd __aeabi_frsub __aeabi_fmul __aeabi_ddiv __aeabi_dadd
__aeabi_fcmpun __aeabi_dcmplt __aeabi_cdcmpeq __aeabi_cfrcmple __aeabi_f2iz __aeabi_f2ulz __aeabi_d2f __aeabi_f2d
__aeabi_h2f __aeabi_i2f __aeabi_ui2d __aeabi_l2d __aeabi_ul2f"""
NO_FLOATS = """__divdi3 __udivdi3 __moddi3 __umodti3 __muldi3 __multi3 __negdi2 __cmpdi2 __ucmpdi2 __ashldi3 __addvsi3
__clzsi2 __ffsdi2 __popcountdi2 __aeabi_idiv __aeabi_uidivmod __aeabi_ldivmod __aeabi_lmul __aeabi_llsl __aeabi_lcmp
__aeabi_memcpy __aeabi_memset4 __aeabi_unwind_cpp_pr0 __stack_chk_fail __printf_chk __fprintf_chk __getdelim
__errno_location __tls_get_addr __extend __fix memcpy floor_of add_sf3"""
# (compiler, its options, a type, the routines for its product and its conversion)
MACHINES = {"x86-64, 128 bits": (port.CC, (), "__float128", {"__multf3", "__fixtfsi"}),
            "ARM without a float unit": ("arm-none-eabi-gcc", ("-mcpu=cortex-m0",), "float",
                                         {"__aeabi_fmul", "__aeabi_f2iz"}),
            "ARM without a float unit, 64 bits": ("arm-none-eabi-gcc", ("-mcpu=cortex-m0",), "double",
                                                  {"__aeabi_dmul", "__aeabi_d2iz"}),
            "ARM with Linux, no float unit": ("arm-linux-gnueabi-gcc", ("-mfloat-abi=soft",), "float",
                                              {"__aeabi_fmul", "__aeabi_f2iz"})}


def compiled(folder, compiler, options, code):
    """The object of a piece of C; skips the test, with the reason, where it cannot be made."""
    if not shutil.which(compiler) or not shutil.which("nm"):
        pytest.skip(f"there is no {compiler}, or no nm")
    (folder / "planted.c").write_text(code)
    done = subprocess.run([compiler, "-O2", *options, "-c", str(folder / "planted.c"), "-o", str(folder / "planted.o")],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{compiler} does not compile it: {(done.stderr.splitlines() or ['?'])[0]}")
    return folder / "planted.o"


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_for_floats_are_found_and_for_integers_not(tmp_path, machine):
    compiler, options, kind, expected = MACHINES[machine]
    planted = compiled(tmp_path, compiler, options,
                       f"int planted({kind} a, {kind} b) {{ {kind} c = a * b; return c < a ? (int)c : 1; }}\n")
    found = {routine for _, routine in port.soft_floats([planted])}
    assert found > expected and len(found) == 3   # and one that compares, whichever way round
    if compiler == port.CC and shutil.which("objdump"):
        assert {("planted.o", routine) for routine in found} <= set(port.float_instructions([planted]))
    whole = compiled(tmp_path, compiler, options, "long long whole(long long a, int b) { return a / b * a % 7; }\n")
    assert port.soft_floats([whole]) == []


def test_which_names_are_of_floats():
    assert [name for name in FLOATS.split() if not port.SOFT_FLOAT.fullmatch(name)] == []
    assert [name for name in NO_FLOATS.split() if port.SOFT_FLOAT.fullmatch(name)] == []


def test_int8_files_for_a_machine_without_a_float_unit_want_no_such_routine(tmp_path):
    compiler, options, *_ = MACHINES["ARM without a float unit"]
    files = [*port.sources("int8"), port.SOURCE / "rng.c"]
    objects = []
    for path in files:
        (tmp_path / path.stem).mkdir()
        objects.append(compiled(tmp_path / path.stem, compiler, (*options, f"-I{path.parent}"), path.read_text()))
    assert port.soft_floats(objects) == []
    tail = next(path for path in files if path.stem == "tail")
    line = "step[i] = (int16_t)gradient[i];"
    assert line in tail.read_text()
    changed = tail.read_text().replace(line, "step[i] = (int16_t)((float)gradient[i] * 1.5f);")
    planted = compiled(tmp_path, compiler, (*options, f"-I{tail.parent}"), changed)
    assert port.soft_floats([planted])
