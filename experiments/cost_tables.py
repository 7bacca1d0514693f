"""The tables of what a step costs: its memory (Table 3) and its time (Table 4), beside what the abstract claims."""
from experiments.cells import NOT_RUN, TAILS, Table, name_of
from experiments.common import read_result
from experiments.rows import BP, PRECISIONS

CLAIMED_OVERHEAD = "0.072 to 1.7 %"     # memory over vanilla ZO; these three are the abstract's (arXiv 2501.04287)
CLAIMED_MEMORY = "1.46 to 1.60"         # FP32 over INT8
CLAIMED_TIME = "1.38 to 1.42"           # FP32 over INT8


def memory_rows(name="memory"):
    """{(precision, batch, K, frozen): row} of a result; a batch of clouds is called '32 x 1024' by its points."""
    return {(row["precision"], f"{row['batch']} x {row['points']}" if "points" in row else row["batch"],
             row["bp_tail"], row["frozen"]): row for row in read_result(name).get("rows", [])}


def overhead(rows, precision, batch, k, frozen=False):
    """Percent of memory over vanilla ZO; None if not run."""
    here, zo = rows.get((precision, batch, k, frozen)), rows.get((precision, batch, 0, False))
    return 100 * (here["measured"] / zo["measured"] - 1) if here and zo else None


def memory_ratio(rows, batch, k):
    """FP32 over INT8; None if not run."""
    pair = [rows.get((precision, batch, k, False)) for precision in ("fp32", "int8")]
    return pair[0]["measured"] / pair[1]["measured"] if all(pair) else None


def shown(value, form="{:.2f}"):
    return NOT_RUN if value is None else form.format(value)


def memory():
    """Table 3, a part for each network."""
    yield memory_of("LeNet-5", memory_rows())
    yield memory_of("PointNet, clouds by points", memory_rows("memory_pointnet"))


def memory_of(network, rows):
    lines = []
    for batch in dict.fromkeys(key[1] for key in rows):
        for k, frozen in ((0, False), *((k, frozen) for k in (1, 2, 3) for frozen in (False, True)), (BP, False)):
            if not any((precision, batch, k, frozen) in rows for precision in PRECISIONS):
                continue
            line = [batch, name_of(k) + ", control" * frozen]
            for precision in PRECISIONS:
                row = rows.get((precision, batch, k, frozen), {})
                line += [shown(row.get("measured"), "{:,}"), "-" if k == BP else shown(row.get("predicted"), "{:,}")]
                line.append("-" if k == 0 else shown(overhead(rows, precision, batch, k, frozen), "{:+.2f} %"))
            lines.append([*line, CLAIMED_OVERHEAD if k in (1, 2, 3) and not frozen else "-",
                          "-" if frozen else shown(memory_ratio(rows, batch, k)), "-" if frozen else CLAIMED_MEMORY])
    return Table(f"Table 3, memory: bytes at the peak of a step of {network}, all included",
                 ["batch", "tail", "INT8 measured", "predicted", "over K = 0", "FP32 measured", "predicted",
                  "over K = 0", "claimed", "FP32 / INT8", "claimed"], lines)


def time():
    """Table 4: steps by NumPy and by the port, and what NumPy's time goes into."""
    result = read_result("speed")
    steps = {(step["precision"], step["batch"], step["bp_tail"]): step for step in result.get("steps", [])}
    batches, lines = sorted({key[1] for key in steps}), []
    for batch in batches:
        for k in TAILS:
            ratio = result["ratios"].get(f"int8_over_fp32_k{k}_b{batch}")
            milliseconds = [shown(steps.get((precision, batch, k), {}).get("milliseconds")) for precision in PRECISIONS]
            if any((precision, batch, k) in steps for precision in PRECISIONS):
                lines.append([batch, name_of(k), *milliseconds, shown(1 / ratio if ratio else None), CLAIMED_TIME])
    count = result.get("threads", 2)
    yield Table(f"Table 4, time: ms a step of LeNet-5, NumPy, {'one thread' if count == 1 else f'{count} threads'}",
                ["batch", "tail", "INT8", "FP32", "FP32 / INT8", "claimed"], lines,
                "Above 1, INT8 is the faster one. NumPy has no product of int8 for the processor's vectors: integers "
                "are multiplied as int32.")
    clouds = read_result("speed_pointnet").get("ratios", {})
    yield Table("Table 4, time: PointNet, NumPy, 32 clouds of 1,024 points", ["tail", "FP32 / INT8", "claimed"], [
        [name_of(k), shown(1 / ratio), CLAIMED_TIME] for k in TAILS
        if (ratio := clouds.get(f"pointnet_int8_over_fp32_k{k}_b32"))])
    port = read_result("port_speed")
    networks = {(row["model"], row["points"]): f"PointNet, {row['points']} points" if row["points"] else "LeNet-5"
                for row in port.get("port", [])}
    yield Table("Table 4, time: ms a step of the port in C99, one thread",
                ["network", "batch", "tail", "flags", "INT8", "FP32", "FP32 / INT8", "claimed"],
                [[networks[row["model"], row["points"]], row["batch"], name_of(row["bp_tail"]), row["flags"],
                  *(f"{row[f'{precision}, ms']:.2f}" for precision in PRECISIONS),
                  f"{row['fp32 / int8']:.2f}", CLAIMED_TIME] for row in port.get("port", [])],
                "Medians. Above 1, INT8 is the faster one. The flags are in results/port_speed.json.")
    ratio = "fp32 / the port's int8, native"
    yield Table("Table 4, time: the port's INT8 beside FP32 of NumPy, one thread",
                ["network", "batch", "tail", "FP32, NumPy, ms", "FP32 / INT8"],
                [[networks[row["model"], row["points"]], row["batch"], name_of(row["bp_tail"]),
                  f"{row['fp32, ms']:.2f}", f"{row[ratio]:.2f}"] for row in port.get("numpy", []) if ratio in row],
                f"Products of NumPy's FP32 are those of its BLAS, {port.get('blas')}. The port's flags: native. Above "
                "1, the port's INT8 is faster.")
    parts = list(next((step["parts"] for step in steps.values() if step["parts"]), {}))
    yield Table("Table 4, what the time goes into: ms a step on one thread", ["batch", "precision", "tail", *parts], [
        [batch, precision, name_of(k), *(f"{steps[precision, batch, k]['parts'][part]:.2f}" for part in parts)]
        for batch in batches for precision in PRECISIONS for k in TAILS
        if steps.get((precision, batch, k), {}).get("parts")])


def speed_limits():
    """What NumPy's products and threads allow, in sentences."""
    kernels, ratios = read_result("speed").get("kernels"), read_result("speed").get("ratios", {})
    if not kernels:
        return []
    torch = {(row["threads"], row["batch"]): f"{row['zo_numpy_over_torch']:.2f}"
             for row in read_result("torch_step").get("rows", [])}
    beside = " and ".join(f"{torch[threads, 32]} (batch 32) and {torch[threads, 256]} (batch 256) times as long as "
                          f"PyTorch's where both may use {word}" for threads, word in (
                              (1, "one thread"), (2, "two")) if (threads, 32) in torch)
    lines = [f"{name} {ratios[f'step_a_us_{precision}'] / 1000:.1f} ms + {ratios[f'step_b_us_{precision}']:.0f} us an "
             f"image in {precision.upper()}" for precision, name in (("int8", "a step takes about"), ("fp32", "and"))]
    off = " and ".join(f"{100 * ratios[f'step_b_deviation_{precision}']:.0f} %" for precision in PRECISIONS)
    return [
        f"NumPy's einsum makes {kernels['einsum_int32']:.1f} billion int32 products a second on one thread in short "
        f"runs, {kernels['einsum_int32_2mb']:.1f} in the runs of a tile, where `int32 @ int32` is "
        f"{ratios['matmul_1t']:.1f} times slower over the shapes of LeNet-5 and PointNet (geometric mean). int16, "
        f"twice as many to a vector, makes {kernels['einsum_int16']:.1f} and int64 {kernels['einsum_int64']:.1f}: the width "
        "of a vector is the limit (128 bits, as NumPy is built), not memory, whose larger operands are no slower. "
        f"float32 BLAS makes {kernels['float32_blas']:.1f}. A sum in int16 can wrap at the third product.",
        f"A whole INT8 step of vanilla ZO, draws, pooling and all, reaches {ratios['einsum_share_b256']:.2f} of the "
        "rate of that bare product at batch 256 (products that the step needs).",
        "A second thread gains where a tile is one long product (INT8, most at batch 256). Many short operations on two "
        "threads are slower than on one: each takes the interpreter's lock back, and who sleeps for it wakes tens of "
        "microseconds later." + f" A step of K = 0 in FP32 takes {beside}." * bool(beside),
        f"At K = 2 on one thread {' '.join(lines)}, from steps of several batches; between neighbouring batches the "
        f"latter is off by {off} at the most.",
        f"An epoch of MNIST, K = 2, batch 64: {ratios['epoch_k2_b64_s_int8']:.1f} s in INT8, "
        f"{ratios['epoch_k2_b64_s_fp32']:.1f} s in FP32, on one thread."]
