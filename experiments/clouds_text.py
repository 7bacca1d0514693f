"""Why ZO adds so little on clouds, as experiments/README.md has it: from the results of gradient_agreement, step_falls
and zo_on_clouds."""
import statistics

from experiments import gradient_agreement, step_falls, zo_on_clouds
from experiments.cells import Difference, errors_to_either_side, table_of
from experiments.common import read_result
from experiments.findings import bullets
from experiments.rows import seeded

MOST_SEEDS = 10
WEIGHTS = {"initial": "at the initial weights", "trained": "after training"}   # in words


def agreement():
    """The table of gradient_agreement: K = 2, everything usual but the batch."""
    result = {"rows": [], "large": 0, **read_result("gradient_agreement")}
    rows = [row for row in result["rows"] if gradient_agreement.usual(row, "batch")]
    batches, lines = sorted({row["batch"] for row in rows}), []
    for key in dict.fromkeys((row["model"], row["precision"], row["state"]) for row in rows):
        found = {row["batch"]: row for row in rows if (row["model"], row["precision"], row["state"]) == key}
        usual, (model, precision, state) = found[gradient_agreement.USUAL["batch"]], key
        lines.append([f"{gradient_agreement.TITLES[model]}, {precision.upper()}, {state}",
                      "{:.5f} +- {:.5f}".format(*gradient_agreement.interval(usual)), f"{usual['theory']:.5f}",
                      *("{:.5f} +- {:.5f}".format(*gradient_agreement.interval(found[batch], "cosine_large"))
                        for batch in batches)])
    return table_of(["weights", "cosine with the gradient of its batch of 32", "sqrt(2 / (pi d))",
                     *(f"of {result['large']:,} samples, batch {batch}" for batch in batches)], lines)


def sizes_of_z():
    """What the sizes of z do to the agreement with the gradient of the batch, a point for each size."""
    found = {name: [row for row in read_result("gradient_agreement").get("rows", []) if name in row]
             for _, name, *_ in gradient_agreement.SIZES}
    eps = values_of(found["eps"], "eps")
    exact = [value for value in eps if all(abs(share - 1) <= half for share, half in (
        share_of(row) for row in found["eps"] if row["eps"] == value))]
    points = ["eps (FP32): in all cases it is that of an exact slope, within the error, at "
              f"{', '.join(f'{value:g}' for value in exact) or 'none'}."]
    points[0] += "".join(f" At {value:g}: {of_cases([row for row in found['eps'] if row['eps'] == value])}."
                         for value in eps if value not in exact)
    for name in ("r_max", "p_zero"):
        values = ", ".join(map(str, values_of(found[name], name)))
        point = f"{name} (INT8): the best of {values}: {of_cases(best(found[name]), name)}."
        uphill = [row for row in found[name] if sum(share_of(row)) < 0]
        if uphill:
            point += f" Below zero by more than the error, so uphill: {of_cases(uphill, name)}."
        points.append(point)
    return bullets(points)


def values_of(rows, name):
    return sorted({row[name] for row in rows})


def share_of(row):
    """(cosine as a share of that of an exact slope, half of its 95 % interval)."""
    return gradient_agreement.interval(row, of_theory=True)


def best(rows):
    """The row with the largest share of each network and state."""
    cases = {}
    for row in rows:
        cases.setdefault((row["state"], row["model"]), []).append(row)
    return [max(case, key=share_of) for case in cases.values()]


def of_cases(rows, name=None):
    """'initial 0.78 +- 0.26 (LeNet-5) and ..; trained ..' of rows; name: of a size, whose value stands before."""
    by_state = {}
    for row in rows:
        value = f"{row[name]:g} with " if name else ""
        by_state.setdefault(row["state"], []).append(
            "{}{:.2f} +- {:.2f} ({})".format(value, *share_of(row), gradient_agreement.TITLES[row["model"]]))
    return "; ".join(f"{WEIGHTS[state]} {' and '.join(texts)}" for state, texts in by_state.items())


def worth_of_a_step():
    """The table of step_falls: K = 2, after some epochs where that is measured."""
    rows = [row for row in read_result(step_falls.NAME).get("rows", []) if row["bp_tail"] == 2]
    states = {(row["model"], row["precision"]): row["state"] for row in rows}   # the last one measured
    lines = []
    for row in rows:
        if row["state"] == states[row["model"], row["precision"]]:
            usual, width = row["factors"].index(1), errors_to_either_side(row["draws"])
            fall, error = row["fall"][usual]
            network = f"{gradient_agreement.TITLES[row['model']]}, {row['precision'].upper()}, {row['state']}"
            lines.append([network, row["trains"] or "all", f"{row['zo_parameters']:,}",
                          "{:.5f} +- {:.5f}".format(row["cosine"][0], width * row["cosine"][1]),
                          f"{row['theory']:.5f}",
                          "{:+.3f} +- {:.3f} %".format(100 * fall, 100 * width * error),
                          f"{100 * row['fall_along_gradient'][usual][0]:+.1f} %",
                          *(f"{100 * max(row[key])[0]:+.2f} %" for key in ("fall", "fall_along_gradient"))])
    return table_of(["weights", "ZO trains", "parameters d", "cosine", "sqrt(2 / (pi d))", "the loss falls by",
                     "along the gradient", "ZO at its best length", "the gradient at its best length"], lines)


def candidates():
    """The table of zo_on_clouds: means, and the difference to the control of the same seeds."""
    rows = read_result(zo_on_clouds.NAME).get("rows", {})
    lines = []
    for name in zo_on_clouds.CANDIDATES:
        found = [row for seed in range(MOST_SEEDS) if (row := rows.get(seeded(name, seed)))]
        if found:
            mean = statistics.mean(100 * row["correct"] / row["clouds"] for row in found)
            loss = statistics.mean(row["last_loss"] for row in found)
            gain = Difference(zo_on_clouds.gains(rows, name))
            lines.append([name, len(found), f"{mean:.2f}", f"{loss:.3f}",
                          "" if name == zo_on_clouds.control_of(name) else gain])
    return table_of(["candidate", "seeds", "validation accuracy, %", "loss of the last epoch", "over the control"],
                    lines)
