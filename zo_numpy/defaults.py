"""What an option is where the user does not give it: by precision and number of BP layers.

Tuned on the last 5,000 training images of MNIST (`--validate 5000`), never on a test set: INT8 by the candidates in
experiments/results/tuning_int8.json, full BP by a few runs; FP32 with K = 0..3 has starting points, not tuned yet.
A schedule's values share the epochs of a run in equal parts.
"""

DEFAULTS = {
    ("int8", 0): dict(epochs=20, batch_size=16, headroom=(0, 0, 0, 0, 0), r_max=(15,), p_zero=(192, 224, 240, 248),
                      b_zo=(1,), b_bp=(1,)),
    ("int8", 1): dict(epochs=20, batch_size=64, headroom=(0, 0, 0, 0, 2), r_max=(15,), p_zero=(224, 240, 248, 252),
                      b_zo=(1,), b_bp=(4, 3, 2, 1)),
    ("int8", 2): dict(epochs=20, batch_size=64, headroom=(0, 0, 0, 1, 1), r_max=(15,), p_zero=(224, 240, 248, 252),
                      b_zo=(1,), b_bp=(5, 4, 3, 2, 1)),
    ("int8", 3): dict(epochs=20, batch_size=64, headroom=(0, 0, 1, 1, 1), r_max=(15,), p_zero=(128, 192, 224, 248),
                      b_zo=(1,), b_bp=(4, 3, 2, 1)),
    ("int8", "all"): dict(epochs=4, batch_size=64, headroom=(0, 0, 0, 0, 0), r_max=(1,), p_zero=(0,), b_zo=(1,),
                          b_bp=(4, 3, 2, 1)),
    ("fp32", 0): dict(epochs=20, batch_size=64, eps=(1e-3,), eta=(1e-4,), clip=(50.0,), eta_tail=(0.1,)),
    ("fp32", 1): dict(epochs=20, batch_size=64, eps=(1e-3,), eta=(1e-4,), clip=(50.0,), eta_tail=(0.1,)),
    ("fp32", 2): dict(epochs=20, batch_size=64, eps=(1e-3,), eta=(1e-4,), clip=(50.0,), eta_tail=(0.1,)),
    ("fp32", 3): dict(epochs=20, batch_size=64, eps=(1e-3,), eta=(1e-4,), clip=(50.0,), eta_tail=(0.1,)),
    ("fp32", "all"): dict(epochs=8, batch_size=32, eps=(1e-3,), eta=(1e-4,), clip=(50.0,),
                          eta_tail=(0.1, 0.1, 0.05, 0.02)),
}
