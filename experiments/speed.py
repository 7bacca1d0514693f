"""Time of a training step and its parts: `python -m zo_numpy bench`, committed, with a picture.

    python -m experiments.speed

writes experiments/results/speed.json and .png: how a step of each precision divides among draws, patches, products
and the rest. Run it on a machine that does nothing else.

    python -m experiments.speed --model pointnet

writes speed_pointnet.json: steps of 32 clouds of 1,024 points, every K, and what they hold at their peak.
"""
import argparse

from experiments.common import QUICK, RESULTS, save_result
from zo_numpy import tiles
from zo_numpy.app.drawing import panels
from zo_numpy.app.methods import method_of
from zo_numpy.app.progress import say
from zo_numpy.measure import bench, in_words
from zo_numpy.measure.timing import PARTS

COLOURS = dict(zip(PARTS, ("#0072B2", "#56B4E9", "#F0E442", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "black",
                           "lightgrey")))   # that the colour-blind tell apart


def draw(result, path):
    """A stacked bar for each precision and K, a panel for each batch size.

    A bar is as high as a step is long (Table 4). Its parts are timed apart, in steps that watching makes a little
    longer, so they divide it by their shares.
    """
    batches = sorted({step["batch"] for step in result["steps"]})
    with panels(len(batches), (4.4 * len(batches), 4.8)) as (figure, all_axes):
        for axes, batch in zip(all_axes, batches):
            steps = [step for step in result["steps"] if step["batch"] == batch and step["parts"]]
            steps.sort(key=lambda step: step["precision"] == "fp32")
            names = [f"{step['precision'].upper()}\nK = {step['bp_tail']}" for step in steps]
            bottom = [0.0] * len(steps)
            for part, colour in COLOURS.items():
                heights = [step["milliseconds"] * step["parts"][part] / sum(step["parts"].values()) for step in steps]
                bars = axes.bar(names, heights, bottom=bottom, label=part, color=colour)
                bottom = [low + height for low, height in zip(bottom, heights)]
            axes.bar_label(bars, [f"{step['milliseconds']:.2f}" for step in steps], fontsize=8)   # above the last part
            axes.set_title(f"batch {batch}")
            axes.set_ylabel("ms a step, one thread")
            axes.set_ylim(bottom=0)
            axes.tick_params(axis="x", labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right center", fontsize=9)
        figure.suptitle("LeNet-5: where a training step spends its time; parts by their shares, timed apart")
        figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2 if QUICK else 30,
                        help="steps of each configuration (default 30)")
    parser.add_argument("--model", choices=("lenet5", "pointnet"), default="lenet5")
    given = parser.parse_args()
    if given.model == "pointnet":
        result = {"threads": tiles.threads(), **bench.clouds(given.rounds, method_of)}
        name = "speed_pointnet"
    else:
        result = bench.images((32, 256), given.rounds, method_of)
        name = "speed"
    for line in in_words.report(result):
        say(line)
    say(f"wrote {save_result(name, result)}")
    if given.model == "lenet5":
        draw(result, RESULTS / "speed.png")


if __name__ == "__main__":
    main()
