"""How ModelNet40's schedules were chosen, as experiments/README.md has it: candidates on a validation split, and what
the schedules of ModelNet10 reach there on the test set."""
from experiments.cells import NOT_RUN, name_of, pointnet_cells, table_of
from experiments.cloud_candidates import CANDIDATES
from experiments.common import as_words, read_result
from experiments.findings import bullets

UNNAMED = ("precision", "bp_tail", "epochs")   # options that stand in a column of their own


def candidates():
    """A table of all candidates that have run, those of a K together."""
    rows, lines = read_result("pointnet_tuning_modelnet40_p128").get("rows", {}), []
    for name, options in CANDIDATES.items():
        if name in rows:
            last, epochs = rows[name]["last_epoch"], rows[name]["config"]["epochs"]
            words = as_words({key: value for key, value in options.items() if key not in UNNAMED})
            lines.append([options["precision"].upper(), name_of(options["bp_tail"]), " ".join(words) or "the defaults",
                          epochs, f"{last['validation_accuracy']:.2f}", f"{last['mean_class_accuracy']:.2f}"])
    lines.sort(key=lambda line: (line[0], line[1], -float(line[4])))
    return table_of(["", "", "options", "epochs", "validation accuracy, %", "mean over classes, %"], lines)


def earlier():
    """What the z and the eta of ModelNet10 reach on the test set of ModelNet40, beside those that were chosen."""
    full, before = (read_result(f"pointnet_{table}_modelnet40_p256") for table in ("full", "earlier"))
    lines = []
    for precision, what in (("int8", "z"), ("fp32", "eta")):
        for k in (0, 1, 2):
            own, borrowed = (pointnet_cells(result, precision)(k) for result in (full, before))
            control = pointnet_cells(full, precision)(k, True)
            if borrowed.by_seed:
                lines.append(f"{precision.upper()}, K = {k}: with ModelNet10's {what} "
                             f"{told_beside(borrowed, control)}; with its own {told_beside(own, control)}; own less borrowed {own.difference(borrowed)}.")
    return bullets(lines)


def told_beside(here, control):
    """'63.28 +- 4.45 % (3 seeds), -3.69 +- 1.29 over its control' of two Cells; the control may have no seed."""
    if not here.by_seed:
        return NOT_RUN
    gain = here.difference(control)
    beside = f", {gain} over its control" if gain.by_seed else ""
    return f"{here.short()} % ({here.seeds()}){beside}"
