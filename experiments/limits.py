"""What the README says of the limits: where ZO adds nothing, where INT8 is slower or less accurate, small batches.

Every number is of the results; what is said of a difference follows from its interval.
"""
from experiments import batch_picture, batch_rows, equal_samples
from experiments.cells import NOT_RUN, Cell, name_of, times_the_samples
from experiments.claims import BATCHES
from experiments.common import read_result
from experiments.findings import TAILS, bullets, faster, joined, numpy_ratios, of_zo, port_ratios, range_of
from experiments.rows import BP
from experiments.tables import of_full_training


def limits():
    """Where ZO adds nothing, where INT8 loses accuracy or time, small batches."""
    none, few, below, single = {}, {}, {}, {}
    for title, by_precision in of_full_training().items():
        for precision, cells in by_precision.items():
            for k, one in of_zo(cells).items():
                if one.mean is None:
                    continue
                if one.half_width is None:
                    few.setdefault((title, precision), []).append(k)
                elif not one.is_told():
                    none.setdefault((title, precision), []).append(k)
                if one.mean < 0 and (one.half_width is None or one.is_told()):
                    (single if one.half_width is None else below).setdefault((title, precision), []).append(k)
    words = ((none, "We found no difference between ZO and its frozen control on {}. "),
             (below, "ZO is below its control on {}. "), (few, "Not decided, as fewer than three seeds have run: {}. "),
             (single, "In single runs ZO ended below its control on {}. "))
    said = "".join(text.format(places(found)) for found, text in words if found)
    smallest, clouds = port_ratios((1,), tails=(3,)), numpy_ratios("speed_pointnet", "pointnet_")
    slow = (f"At batches of 32 and 256 an INT8 step of LeNet-5 takes {range_of(numpy_ratios())} times as long as an "
            f"FP32 step, and one of PointNet {range_of(clouds)} times, as NumPy multiplies integers as int32. On "
            "another machine, where FP32 was faster, the ratios were larger: `python -m zo_numpy bench` measures "
            f"yours. In C INT8 is {faster(port_ratios(BATCHES))} at these batches, but a step of LeNet-5 at a batch of "
            f"1 with K = 3 takes {range_of(smallest)} times as long.")
    return bullets((
        f"**ZO often adds nothing that we could measure.** {said}Compare with `--zo-frozen` before you credit ZO with "
        "a gain.",
        f"**INT8 is slower than FP32 in NumPy.** {slow}", f"**INT8 can be less accurate than FP32.** {losses()}",
        f"**The size of the batch.** {small_batches()}"))


def losses():
    """Where the interval of INT8 less FP32 is below zero, and at how many samples."""
    found = []
    for title, cells in of_full_training().items():
        for k in (0, *TAILS, BP):
            one, other = cells["int8"](k), cells["fp32"](k)
            if (loss := one.difference(other)).is_told() and loss.mean < 0:
                seen = times_the_samples(one, other)
                found.append(f"{title}, {name_of(k)}: {loss.short()}" + f" ({seen} the samples)" * bool(seen))
    equal = [f"{one.data}, {name_of(one.k)}: {loss.short()}" for one in equal_samples.comparisons()
             if not one.precision and (loss := one.difference()).is_told() and loss.mean < 0]
    more = f"At FP32's number of samples, where INT8 usually sees another: {'; '.join(equal)}. " if equal else ""
    return (f"INT8 minus FP32, in points: {'; '.join(found) or 'none'}. {more}Elsewhere no loss was found, or too few "
            "seeds have run.")


def places(found):
    """'MNIST at K = 3 (INT8 and FP32); ..' of {(title, precision): [K]}."""
    by_tails = {}
    for (title, precision), tails in found.items():
        by_tails.setdefault((title, joined(list(map(str, tails)))), []).append(precision.upper())
    return "; ".join(f"{title} at K = {tails} ({joined(names)})" for (title, tails), names in by_tails.items())


def small_batches():
    """What a batch of one sample does to both scales of the tail's steps, and large ones to vanilla ZO."""
    result = {"rows": {}, **read_result(batch_rows.NAME)}
    cells = {name: {batch: Cell(dict(enumerate(values))) for batch, values in
                    batch_picture.accuracies(result, "mnist", f"int8-{scale}", k, frozen).items()}
             for name, scale, k, frozen in (("own", "own", 2, False), ("running", "running", 2, False),
                                            ("control", "running", 2, True), ("zero", "own", 0, False))}
    at = {name: {batch: f"{cell.short()} %" for batch, cell in found.items()} for name, found in cells.items()}
    return (f"MNIST in INT8, four passes over {batch_rows.SAMPLES:,} images, K = 2, at a batch of 1: "
            f"{at['own'].get(1, NOT_RUN)} with the tail's steps as larger batches want them; "
            f"{at['running'].get(1, NOT_RUN)} with `--tail-scale running`, the default in batches of up to 4 images "
            f"(its frozen control: {at['control'].get(1, NOT_RUN)}). Vanilla ZO wants small batches: of as many "
            f"samples it makes {at['zero'].get(1, NOT_RUN)} at a batch of 1 and {at['zero'].get(256, NOT_RUN)} at 256, "
            "in 160 steps (one seed).")
