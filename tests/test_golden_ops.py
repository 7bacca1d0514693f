import importlib
import pytest
import twin_ops
from zo_numpy.golden import ops
BUGS = {}
for m in ("random", "draws", "arith", "layers", "loss", "tail", "zo"):
    try: mod = importlib.import_module("bugs_" + m)
    except ImportError: continue
    BUGS.update(mod.BUGS)
VEC = {n: ops.vectors(n) for n in ops.OPS}

@pytest.mark.parametrize("op, flag", [(op, flag) for op in BUGS for flag in {**VEC[op]["flags"], **BUGS[op]}])
def test_bug(op, flag):
    bug = BUGS[op][flag]
    wrong = []
    carry = [c for c in VEC[op]["cases"] if flag in c["flags"]]
    assert flag in VEC[op]["flags"], "unknown"
    assert [c["id"] for c in carry], "none"
    fails = [c for c in VEC[op]["cases"] if bug(twin_ops.TWINS[op], c["inputs"], c["parameters"]) != c["expected"]]
    miss = [(c["id"], c["comment"]) for c in carry if c not in fails]
    extra = [(c["id"], c["comment"]) for c in fails if c not in carry]
    assert not (miss or extra), f"carry but pass {miss}; fail but do not carry {extra}"
