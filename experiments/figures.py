"""Draws every figure from the results as they are; trains and measures nothing.

    python -m experiments.figures          (make figures)

PNG files beside the JSON they are made of. What has not run is said, and left out.
"""
import argparse

from experiments import (
    adapting, batch_picture, curves, gradient_agreement, loss_sign, memory, pointnet_picture, run_curves, speed,
    step_falls, summary, zo_parameters)
from experiments.cells import pointnet_files
from experiments.common import RESULTS, read_result
from experiments.rows import DATA_SETS
from zo_numpy.app.progress import say


def of_result(draw, name):
    """A function that draws results/NAME.json, if it is there."""
    def drawn(path):
        result = read_result(name)
        if result:
            draw(result, path)
        return bool(result)
    return drawn


def figures():
    """{name of a PNG: function that draws it to a path and returns whether there was anything to draw}."""
    made = {f"curves_{data.replace('-', '_')}": lambda path, data=data: curves.draw(data, path) for data in DATA_SETS}
    made |= {"summary": summary.draw, "adapting": adapting.draw, "zo_parameters": zo_parameters.draw,
             "mnist_int8_k2": run_curves.draw}
    made |= {name: of_result(module.draw, name) for name, module in (
        ("memory", memory), ("speed", speed), ("loss_sign", loss_sign), ("batch_size", batch_picture),
        ("gradient_agreement", gradient_agreement), ("step_falls", step_falls))}
    made["gradient_sizes"] = of_result(gradient_agreement.draw_sizes, "gradient_agreement")
    for path in pointnet_files():
        if not path.stem.startswith(("pointnet_equal", "pointnet_earlier")):   # they stand beside others in tables
            made[path.stem] = lambda png, name=path.stem: pointnet_picture.draw(read_result(name), png)
    return made


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name, draw in figures().items():
        path = RESULTS / f"{name}.png"
        say(f"wrote {path}" if draw(path) else f"{name}: too little has run for a picture")


if __name__ == "__main__":
    main()
