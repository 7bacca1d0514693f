"""What an option is where the user does not give it: by precision and number of BP layers, and where that differs, by
data set and for fine-tuning.

Tuned on the last 5,000 training images of MNIST (`--validate 5000`), never on a test set, by the candidates listed in
experiments/results/tuning_int8.json and tuning_fp32.json; Fashion-MNIST is trained with the same. No candidates were
kept of full BP in FP32, nor of what a comment below calls untuned.
A schedule's values share the epochs of a run in equal parts.
"""
DEFAULTS = {
    ("int8", 0): dict(epochs=60, batch_size=128, headroom=(0, 0, 0, 0, 0), r_max=(15,),
                      p_zero=(192, 224, 240, 248, 252), b_zo=(1,), b_bp=(1,)),
    ("int8", 1): dict(epochs=40, batch_size=128, headroom=(0, 0, 0, 0, 2), r_max=(15,),
                      p_zero=(192, 224, 240, 248, 252), b_zo=(1,), b_bp=(4, 3, 2, 1)),
    ("int8", 2): dict(epochs=30, batch_size=64, headroom=(0, 0, 0, 1, 1), r_max=(15,),
                      p_zero=(224, 240, 248, 252, 254), b_zo=(1,), b_bp=(5, 4, 3, 2, 1)),
    ("int8", 3): dict(epochs=20, batch_size=256, headroom=(0, 0, 0, 0, 0), r_max=(15,),
                      p_zero=(192, 224, 240, 248, 252), b_zo=(1,), b_bp=(4, 3, 2, 1)),
    ("int8", "all"): dict(epochs=10, batch_size=256, headroom=(0, 0, 0, 0, 0), r_max=(1,), p_zero=(0,), b_zo=(1,),
                          b_bp=(4, 3, 2, 1)),
    ("fp32", 0): dict(epochs=40, batch_size=32, eps=(1e-3,), eta=(7e-5, 5e-5, 3e-5, 2e-5, 1e-5), clip=(50.0,),
                      eta_tail=(0.1,)),
    ("fp32", 1): dict(epochs=40, batch_size=64, eps=(1e-3,), eta=(2e-4, 1e-4, 5e-5, 2e-5, 1e-5), clip=(5.0,),
                      eta_tail=(0.1, 0.05, 0.02)),
    ("fp32", 2): dict(epochs=20, batch_size=64, eps=(1e-3,), eta=(4e-4, 2e-4, 1e-4, 5e-5, 2e-5), clip=(20.0,),
                      eta_tail=(0.1, 0.1, 0.05, 0.02)),
    ("fp32", 3): dict(epochs=20, batch_size=64, eps=(1e-3,), eta=(4e-4, 2e-4, 1e-4, 5e-5, 2e-5), clip=(20.0,),
                      eta_tail=(0.1, 0.1, 0.05, 0.02)),
    ("fp32", "all"): dict(epochs=12, batch_size=32, eps=(1e-3,), eta=(1e-4,), clip=(50.0,),
                          eta_tail=(0.1, 0.1, 0.05, 0.02)),
}

LONGEST = 3   # tail that the tables have
POINT_DATA = ("modelnet10", "modelnet40", "modelnet", "synthetic-solids")   # the data sets of point clouds
# Theirs, tuned on the last 800 training clouds of ModelNet10 at 128 points (256 for full BP): tuning_pointnet.json. Its
# candidates of FP32 have fewer epochs (K = 1: 20, K = 2: 16, full BP: 12). Untuned: K = 3 in FP32, full BP in INT8.
POINT_DEFAULTS: dict[tuple, dict] = {
    ("int8", 0): dict(epochs=160, batch_size=16, headroom=(0,) * 8, r_max=(15,), p_zero=(240, 248, 252, 254),
                      b_zo=(1,), b_bp=(1,)),
    ("int8", 1): dict(epochs=120, batch_size=16, headroom=(0,) * 7 + (2,), r_max=(15,), p_zero=(240, 248, 252, 254),
                      b_zo=(1,), b_bp=(3, 2, 1, 1)),
    ("int8", 2): dict(epochs=120, batch_size=16, headroom=(0,) * 6 + (1, 1), r_max=(15,), p_zero=(240, 248, 252, 254),
                      b_zo=(1,), b_bp=(3, 2, 1, 1)),
    ("int8", 3): dict(epochs=120, batch_size=16, headroom=(0,) * 6 + (1, 1), r_max=(15,), p_zero=(240, 248, 252, 254),
                      b_zo=(1,), b_bp=(3, 2, 1, 1)),
    ("int8", "all"): dict(epochs=10, batch_size=32, headroom=(0,) * 8, r_max=(1,), p_zero=(0,), b_zo=(1,),
                          b_bp=(4, 3, 2, 1)),
    ("fp32", 0): dict(epochs=20, batch_size=32, eps=(1e-3,), eta=(3e-5, 3e-5, 2e-5, 1e-5), clip=(1000.0,),
                      eta_tail=(0.005,)),
    **{("fp32", k): dict(epochs=24, batch_size=32, eps=(1e-3,), eta=(1e-4, 5e-5, 3e-5, 1e-5), clip=(20.0,),
                         eta_tail=(0.005, 0.005, 0.003, 0.002)) for k in (1, 2, 3)},
    ("fp32", "all"): dict(epochs=16, batch_size=32, eps=(1e-3,), eta=(3e-5,), clip=(1000.0,),
                          eta_tail=(0.015, 0.01, 0.005, 0.002)),
}


# What is otherwise for a data set, one option or several. ModelNet40: experiments/cloud_candidates.py.
BY_DATA: dict = {
    ("modelnet40", "fp32", "all"): dict(epochs=40, eta_tail=(0.01, 0.03, 0.03, 0.015, 0.005, 0.002)),
    **{("modelnet40", "fp32", k): dict(eta=(3e-5, 2e-5, 1e-5, 3e-6), eta_tail=(0.02, 0.02, 0.01, 0.005))
       for k in (1, 2, 3)},
    # As many samples as FP32 sees, where ModelNet10 has 120 epochs. Candidates were tried at K = 0, K = 2 and full BP.
    ("modelnet40", "int8", 0): dict(epochs=20, p_zero=(192, 224, 240, 248)),
    **{("modelnet40", "int8", k): dict(epochs=24, p_zero=(252, 254, 255, 255)) for k in (1, 2, 3)},
    ("modelnet40", "int8", "all"): dict(epochs=40),
}

# What is otherwise for runs that start from the weights of another (`--init-from`): a fine-tuning set is small. Tuned
# on 1,024 images of MNIST turned by 45 degrees, experiments/results/tuning_fine_tuning.json. Untuned: K = 3 and full BP
# in FP32, and point clouds.
FINE_TUNING = {
    ("int8", 0): dict(epochs=300, batch_size=32, p_zero=(128, 192, 224, 240, 252)),
    ("int8", 1): dict(epochs=300, batch_size=32, p_zero=(192, 224, 240, 248, 252)),
    ("int8", 2): dict(epochs=300, batch_size=32, p_zero=(192, 224, 240, 248, 252), b_bp=(3, 2, 1, 1, 1)),
    ("int8", 3): dict(epochs=60, batch_size=64, p_zero=(224, 252)),
    ("int8", "all"): dict(epochs=20, batch_size=32, b_bp=(3, 2, 1)),
    ("fp32", 0): dict(epochs=300, batch_size=32, eta=(1e-4, 1e-4, 5e-5, 2e-5), clip=(20.0,)),
    ("fp32", 1): dict(epochs=60, batch_size=32, eta=(1e-4, 2e-5), clip=(20.0,), eta_tail=(0.1, 0.05)),
    ("fp32", 2): dict(epochs=60, batch_size=32, eta=(1e-4, 2e-5), clip=(20.0,), eta_tail=(0.1, 0.05)),
    ("fp32", 3): dict(epochs=60, batch_size=32, eta=(1e-4, 2e-5), clip=(20.0,), eta_tail=(0.1, 0.05)),
    ("fp32", "all"): dict(epochs=20, batch_size=32, eta_tail=(0.05, 0.02)),
}
POINT_FINE_TUNING = dict(epochs=20, batch_size=32)

# What is otherwise with `--tail-scale running`, where a step can be smaller than b_bp bits, and needs less of a decay.
# Tuned on the same validation split at batches 1, 16 and 128: tuning_batch_size.json. Point clouds: untuned.
RUNNING: dict[tuple, dict] = {
    ("int8", 1): dict(b_bp=(6, 5, 4, 3)),
    ("int8", 2): dict(b_bp=(6, 5, 4, 3, 2)),
    ("int8", 3): dict(b_bp=(5, 4, 3, 2)),
    ("int8", "all"): dict(b_bp=(6, 5, 4, 3)),
}


SMALL_BATCH = 4   # of images, at and below which a tail's steps have the running scale: results/batch_size.json


def tail_scale_of(precision, bp_tail, points, batch_size):
    """The scale of the tail's steps where none is asked for."""
    return "running" if precision == "int8" and bp_tail != 0 and not points and batch_size <= SMALL_BATCH else "own"


def defaults(precision, bp_tail, data, points, fine_tuning, count, running=False):
    """{option: value} of a run: of its precision and tail, of the tail's running scale, then of its data set, then of
    fine-tuning.

    points: whether its samples are point clouds.  count: of its layers with weights. Headroom is given for
    the last layers; layers before them get 0. A tail longer than 3 uses the values of 3.
    """
    key = precision, bp_tail if bp_tail == "all" else min(bp_tail, LONGEST)
    first, then = (POINT_DEFAULTS[key], POINT_FINE_TUNING) if points else (
        DEFAULTS[key], FINE_TUNING.get(key, {}))
    scale = RUNNING.get(key, {}) if running and not points else {}
    tables = first, scale, BY_DATA.get((data, *key), {}), then if fine_tuning else {}
    options = {name: value for table in tables for name, value in table.items()}
    if "headroom" in options:
        options["headroom"] = ((0,) * count + options["headroom"])[-count:]
    return options
