"""Accuracy by batch size at equal samples seen: 10,000 training images, four epochs, whatever the batch.

    python -m experiments.batch_size [--only mnist-int8] [--seeds 3] [--jobs 2] [--numpy]
    python -m experiments.batch_size --list

K = 0..3, the frozen controls and full BP, INT8 with both scales of the tail's steps and FP32, MNIST and Fashion-MNIST,
seeds from 1. Everything else is the default, which is tuned for one batch (b_bp with the running scale: for 1, 16 and
128). INT8 rows are trained by the port in C99 where there is a compiler, bit for bit the same and several times faster;
--numpy leaves that to zo_numpy. Each result is added to results/batch_size.json as its row finishes, the most telling
rows first; interrupted, the same command goes on where it stopped. The picture, with the memory of a step beside the
accuracy, is drawn at the end (python -m experiments.figures draws it alone).
"""
import argparse
import concurrent.futures
import sys

from experiments import batch_rows
from experiments.accuracy import RowFailed, run_row
from experiments.batch_picture import draw
from experiments.batch_rows import KINDS, NAME, SEEDS, all_rows, config_digest, is_finished, method_name, results
from experiments.common import RESULTS, as_words, changing, commit, read_result, save_result
from experiments.merge import add_row
from experiments.port_training import built_port
from experiments.rows import BP
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.measure import peak
from zo_numpy.measure.timing import threads
from zo_numpy.run.config import make_config

HEAD = {"experiment": NAME, "samples": batch_rows.SAMPLES, "epochs": batch_rows.EPOCHS}


def train(row, port, commit, apart=False):
    """Trains a row and adds its result.  port: a port_training.Port, or None."""
    found = run_row(row, shown=False, threads=1, port=port)
    last = found["last_epoch"]
    beside = {"trained_with": found["trained_with"]} if "trained_with" in found else {}
    result = {"options": row.options, "config": config_digest(row), "curve": found["curve"],
              "correct": last["test_correct"], "images": last["test_images"],
              "weights_sha256": found["weights_sha256"], **beside, "commit": commit}
    add_row(NAME, HEAD, row.name, result, apart)
    say(f"{row.name}: {last['test_accuracy']} %")


def measure_memory():
    """Adds the bytes of a step of each K and batch, measured on one thread."""
    found = {}
    with threads(1):
        for kind in ("int8-running", "fp32"):
            for k in (0, 1, 2, 3, BP):
                for batch in batch_rows.BATCHES:
                    options = {**KINDS[kind], **({"tail_scale": "own"} if k == 0 and kind != "fp32" else {})}
                    config = make_config({**options, "bp_tail": k, "batch_size": batch})
                    found[f"{config.precision}-{method_name(k, False)}-b{batch}"] = peak.measure(
                        config, method_of(config), 5)
    with changing(NAME):
        save_result(NAME, {**HEAD, "memory": found, "rows": results()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--row", help="one row alone, by its name")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of each row, from 1 (default {SEEDS})")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, each on one thread (default 1)")
    parser.add_argument("--apart", action="store_true", help="a file for each row, for `python -m experiments.merge`")
    parser.add_argument("--numpy", action="store_true", help="train INT8 rows with zo_numpy, whatever is installed")
    parser.add_argument("--list", action="store_true", help="name the rows and whether they have a result")
    options = parser.parse_args()
    if options.seeds < 1 or options.jobs < 1:
        parser.error("--seeds and --jobs are at least 1")
    rows, found = [row for row in all_rows(options.seeds)
                   if options.only in row.name and options.row in (None, row.name)], results()
    todo = [row for row in rows if not is_finished(row, found)]
    if options.list:
        for row in rows:
            say(f"{row.name}: " + (f"{100 * found[row.name]['correct'] / found[row.name]['images']:.2f} %"
                                   if is_finished(row, found) else f"not run ({' '.join(as_words(row.options))})"))
        return 0
    say(f"{len(todo)} of {len(rows)} rows to train")
    if not options.apart and not read_result(NAME).get("memory"):
        measure_memory()
    port, status, at = None if options.numpy or not todo else built_port(), 0, commit()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(train, row, port, at, options.apart) for row in todo]
        try:
            for future in concurrent.futures.as_completed(running):
                try:
                    future.result()
                except RowFailed as error:
                    print(f"error: {error}", file=sys.stderr)
                    status = 1
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("interrupted: the same command goes on where it stopped", file=sys.stderr)
            return 130
    if not options.apart:
        draw(read_result(NAME), RESULTS / f"{NAME}.png")
    return status


if __name__ == "__main__":
    sys.exit(main())
