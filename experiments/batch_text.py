"""What the batch does to INT8 with the running scale, as experiments/README.md has it: from results/batch_size.json."""
from experiments import batch_rows
from experiments.batch_rows import row_of
from experiments.cells import NOT_RUN, Cell, name_of, table_of
from experiments.common import read_result
from experiments.curves import TITLES
from experiments.rows import BP

TAILS = (2, 3, BP)
BESIDE_OWN = (4, 8, 64)     # batches at which the scales are compared: `train` takes the running one up to 4


def cell(rows, data, scale, k, batch):
    """The Cell of what has run."""
    names = {seed: row_of(data, f"int8-{scale}", k, False, batch, seed).name
             for seed in range(1, batch_rows.SEEDS + 1)}
    return Cell({seed: 100 * rows[name]["correct"] / rows[name]["images"] for seed, name in names.items()
                 if name in rows})


def by_batch(rows, data, k):
    """({batch: Cell} of the running scale, the batch of the best mean); (.., None) where a batch of 1 has not run."""
    found = {batch: cell(rows, data, "running", k, batch) for batch in batch_rows.BATCHES}
    ran = {batch: one.mean() for batch, one in found.items() if one.by_seed}
    return found, max(ran, key=ran.get) if 1 in ran else None


def told():
    """A table: a batch of 1 beside the best batch at equal samples, and the running scale beside the own one."""
    rows, lines = read_result(batch_rows.NAME).get("rows", {}), []
    for data in batch_rows.DATA_SETS:
        for k in TAILS:
            found, best = by_batch(rows, data, k)
            if best is None:
                continue
            lines.append([f"{TITLES[data]}, {name_of(k)}", f"{found[1].mean():.2f}", best,
                          found[1].difference(found[best]) if best != 1 else NOT_RUN,
                          *(found[batch].difference(cell(rows, data, "own", k, batch)) for batch in BESIDE_OWN)])
    return table_of(
        ["INT8, running scale", "batch of 1, %", "best batch", "a batch of 1, beside the best",
         *(f"beside the own scale, at {batch}" for batch in BESIDE_OWN)], lines)
