"""Schedules among which those of ModelNet40 were chosen: `python -m experiments.pointnet --table tuning`.

A third of the training clouds at 128 points, with the last fifth of all as validation split. Options that a candidate
does not name are the defaults.
"""
from experiments.common import QUICK

SPLIT = {"validate": 100 if QUICK else 1968, "limit": 3281}
RUNNING = dict(tail_scale="running")
SPARSE = (252, 254, 255, 255)   # 256 times the share of zeros in z
OF_MODELNET10 = {"int8": dict(p_zero=(240, 248, 252, 254)), "fp32": dict(eta=(1e-4, 5e-5, 3e-5, 1e-5))}


def of_modelnet10(data, precision, bp_tail):
    """Options with which ModelNet40 is trained as its defaults were at first, where it has others now; else none."""
    return OF_MODELNET10[precision] if data == "modelnet40" and (bp_tail or precision == "int8") else {}


def _fp32(**options):
    return dict(precision="fp32", **options)


def _int8(**options):
    return {"precision": "int8", "epochs": 24 if options["bp_tail"] else 20, **options}


CANDIDATES = {
    "fp32-all": _fp32(bp_tail="all", epochs=24, eta_tail=(0.015, 0.01, 0.005, 0.002)),
    "fp32-all-x3": _fp32(bp_tail="all", epochs=24, eta_tail=(0.05, 0.03, 0.015, 0.005)),
    "fp32-all-b16": _fp32(bp_tail="all", epochs=24, eta_tail=(0.015, 0.01, 0.005, 0.002), batch_size=16),
    "fp32-all-warm": _fp32(bp_tail="all", epochs=24, eta_tail=(0.01, 0.03, 0.03, 0.015, 0.005, 0.002)),
    "fp32-all-varied": _fp32(bp_tail="all", epochs=24, eta_tail=(0.015, 0.01, 0.005, 0.002), augment=8, spin=15, noise=10),
    "fp32-k2": _fp32(bp_tail=2, **OF_MODELNET10["fp32"], eta_tail=(0.005, 0.005, 0.003, 0.002)),
    "fp32-k2-frozen": _fp32(bp_tail=2, zo_frozen=True, **OF_MODELNET10["fp32"], eta_tail=(0.005, 0.005, 0.003, 0.002)),
    "fp32-k2-tail-x4": _fp32(bp_tail=2, **OF_MODELNET10["fp32"], eta_tail=(0.02, 0.02, 0.01, 0.005)),
    "fp32-k2-tail-x4-frozen": _fp32(bp_tail=2, zo_frozen=True, **OF_MODELNET10["fp32"],
                                    eta_tail=(0.02, 0.02, 0.01, 0.005)),
    "fp32-k2-eta-third": _fp32(bp_tail=2, eta_tail=(0.02, 0.02, 0.01, 0.005), eta=(3e-5, 2e-5, 1e-5, 3e-6)),
    "fp32-k2-eta-tenth": _fp32(bp_tail=2, eta_tail=(0.02, 0.02, 0.01, 0.005), eta=(1e-5, 5e-6, 3e-6, 1e-6)),
    "fp32-k2-tail-x12": _fp32(bp_tail=2, **OF_MODELNET10["fp32"], eta_tail=(0.06, 0.06, 0.03, 0.015)),
    "fp32-k2-tail-x12-frozen": _fp32(bp_tail=2, zo_frozen=True, **OF_MODELNET10["fp32"],
                                     eta_tail=(0.06, 0.06, 0.03, 0.015)),
    "fp32-k0": _fp32(bp_tail=0),
    "fp32-k0-eta-third": _fp32(bp_tail=0, eta=(1e-5, 1e-5, 7e-6, 3e-6)),
    "fp32-k0-eta-x3": _fp32(bp_tail=0, eta=(1e-4, 5e-5, 3e-5, 1e-5), clip=(20.0,)),   # as at K = 1 to 3
    "int8-k0": _int8(bp_tail=0, **OF_MODELNET10["int8"]),
    "int8-k0-dense": _int8(bp_tail=0, p_zero=(192, 224, 240, 248)),
    "int8-k0-sparse": _int8(bp_tail=0, p_zero=SPARSE),
    "int8-k2-24": _int8(bp_tail=2, **OF_MODELNET10["int8"]),
    "int8-k2-sparse": _int8(bp_tail=2, p_zero=SPARSE),
    "int8-k2-frozen": _int8(bp_tail=2, zo_frozen=True, **OF_MODELNET10["int8"]),
    "int8-all": dict(precision="int8", bp_tail="all", epochs=24),
    "int8-all-running-6": dict(precision="int8", bp_tail="all", epochs=24, **RUNNING, b_bp=(6, 5, 4, 3)),
    "int8-all-running-5": dict(precision="int8", bp_tail="all", epochs=24, **RUNNING, b_bp=(5, 4, 3, 2)),
    "int8-all-running-4": dict(precision="int8", bp_tail="all", epochs=24, **RUNNING, b_bp=(4, 3, 2, 1)),
    "int8-k2": _int8(bp_tail=2, epochs=30, **OF_MODELNET10["int8"]),
    "int8-k2-running-5": _int8(bp_tail=2, epochs=30, **OF_MODELNET10["int8"], **RUNNING, b_bp=(5, 4, 3, 2)),
    "int8-k2-own-4": _int8(bp_tail=2, **OF_MODELNET10["int8"], b_bp=(4, 3, 2, 1)),
    "int8-k2-own-4-b32": _int8(bp_tail=2, **OF_MODELNET10["int8"], batch_size=32, b_bp=(4, 3, 2, 1)),
}
