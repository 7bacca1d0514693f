"""Mutants that no test can tell from the original, by their line before and after, and why."""

BUFFER = '"buffer": np.zeros(4, np.uint64), "buffer_pos": {}, "has_uint32": {}, "uinteger": {}}}'

REASONS: dict[tuple[str, str], str] = {
    ("return power >> np.minimum(whole, TERM_BITS + 2)", "return power >> np.minimum(whole, TERM_BITS + 3)"):
        "power is below 2^31, so 32 places leave nothing, as 33 do",
    ("powers = 1 << np.arange(TERM_BITS + 1, TERM_BITS + 11, dtype=np.int64)",
     "powers = 1 << np.arange(TERM_BITS + 1, TERM_BITS + 12, dtype=np.int64)"):
        "1,000 classes sum to less than 2^40, so a power of two more is never reached",
    ("@functools.lru_cache(maxsize=2)", "@functools.lru_cache(maxsize=1)"):
        "how many orders are remembered changes the time alone",
    ('return whole.astype("<u8", copy=False).view("<u2")', 'return whole.astype("<u8", copy=True).view("<u2")'):
        "a copy has the same values",
    ("kernels = np.ascontiguousarray(weight.transpose(0, 2, 1, 3), np.int32).reshape(c_out, k, -1)",
     "kernels = np.ascontiguousarray(weight.transpose(0, 2, 1, 3), np.int32).reshape(c_out, k, -2)"):
        "NumPy takes any negative length for the one that follows from the others",
    ("kernels = weight.transpose(2, 0, 1, 3).reshape(k, c_out, -1)",
     "kernels = weight.transpose(2, 0, 1, 3).reshape(k, c_out, -2)"):
        "NumPy takes any negative length for the one that follows from the others",
    ("theta = weights[name].data.reshape(-1)", "theta = weights[name].data.reshape(-2)"):
        "NumPy takes any negative length for the one that follows from the others",
    ("MANY_ROWS = 32", "MANY_ROWS = 33"):
        "which of two equal products takes 32 rows changes the time alone",
    ("if len(a) == 1 and a.dtype == np.int8:", "if len(a) == 1 and a.dtype != np.int8:"):
        "which of two equal products takes a single row changes the time alone",
    ("k = 0", "k = 1"):
        "the loop ends at 6 or later, since 12 * 4^k must reach 127^2 of the smallest layer",
    (BUFFER.format(4, 0, 0), BUFFER.format(5, 0, 0)):
        "a position of 4 or more says that the buffer is used up",
    (BUFFER.format(4, 0, 0), BUFFER.format(4, -1, 0)):
        "only draws of 32 bits look at the half that is left over, and there are none",
    (BUFFER.format(4, 0, 0), BUFFER.format(4, 1, 0)):
        "only draws of 32 bits look at the half that is left over, and there are none",
    (BUFFER.format(4, 0, 0), BUFFER.format(4, 0, 1)):
        "only draws of 32 bits look at the half that is left over, and there are none",
    (BUFFER.format(4, 0, 0), BUFFER.format(4, 0, -1)):
        "only draws of 32 bits look at the half that is left over, and there are none",
    ("return 2 * out_features <= samples", "return 2 * out_features < samples"):
        "which of two equal ways makes a gradient of as many samples as twice its rows changes time and memory alone",
    ("return box_muller(rng.words(seed, rng.PERTURB, step, tensor, query, -(-count // 2)))[:count]",
     "return box_muller(rng.words(seed, rng.PERTURB, step, tensor, query, -(-count * 2)))[:count]"):
        "more words are drawn and left out: the time alone changes",
}
