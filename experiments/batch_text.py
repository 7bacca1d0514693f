"""What the batch does to INT8 with the running scale, as experiments/README.md has it: from results/batch_size.json."""
import statistics

from experiments import batch_rows
from experiments.batch_rows import row_of
from experiments.cells import NOT_RUN, Difference, markdown_rows, name_of
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import BP

TAILS = (2, 3, BP)
BESIDE_OWN = (4, 8, 64)     # batches at which the scales are compared: `train` takes the running one up to 4


def by_seed(rows, data, scale, k, batch):
    """{seed: percent} of what has run."""
    names = {seed: row_of(data, f"int8-{scale}", k, False, batch, seed).name
             for seed in range(1, batch_rows.SEEDS + 1)}
    return {seed: 100 * rows[name]["correct"] / rows[name]["images"] for seed, name in names.items() if name in rows}


def difference(here, there):
    """The Difference of two {seed: percent}, over the seeds that both have."""
    return Difference({seed: here[seed] - there[seed] for seed in sorted(here.keys() & there.keys())})


def told():
    """A table: a batch of 1 beside the best batch at equal samples, and the running scale beside the own one."""
    rows, lines = read_result(batch_rows.NAME).get("rows", {}), []
    for data in batch_rows.DATA_SETS:
        for k in TAILS:
            found = {batch: by_seed(rows, data, "running", k, batch) for batch in batch_rows.BATCHES}
            if not found[1]:
                continue
            means = {batch: statistics.fmean(values.values()) for batch, values in found.items() if values}
            best = max(means, key=lambda batch: means[batch])
            lines.append([f"{TITLES[data]}, {name_of(k)}", f"{means[1]:.2f}", best,
                          difference(found[1], found[best]) if best != 1 else NOT_RUN,
                          *(difference(found[batch], by_seed(rows, data, "own", k, batch)) for batch in BESIDE_OWN)])
    return "\n".join(markdown_rows(
        ["INT8, running scale", "batch of 1, %", "best batch", "a batch of 1, beside the best",
         *(f"beside the own scale, at {batch}" for batch in BESIDE_OWN)], lines))
