"""Golden vectors: what another implementation is compared with, bit for bit, and told where it first diverges.

    ops.py          tier 1: every integer op on edge cases, as JSON (the cases are in cases/)
    trace.py        tier 2: every tensor of a few training steps, as .npy files and a manifest
    tolerances.py   how near the vectors of FP32 have to be
    diff.py         compares two traces and names the first divergence
    runs.py         tier 3: the step log of whole runs; replay of a run from its log of signs
    port_report.py  what another implementation passes of all this
    contract.py     constants and tables for programs; choices.py which decisions each vector needs
    check.py        recomputes everything that is committed under tests/golden

tests/golden/README.md describes the formats for those who do not read Python.
"""
# Of ops, traces and their manifests. A version is frozen: `golden update` refuses to change or remove a committed
# vector unless this number has been raised. tests/golden/README.md says which version is which.
FORMAT_VERSION = 1
# The version of zo_numpy in a committed run's config.json: that of when they were made. It belongs to their bytes, and
# changes with FORMAT_VERSION alone.
MADE_BY = "0.1.0"
