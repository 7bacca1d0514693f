"""Options that change nothing in the run they are given for."""
from .config import BP, option
from .transfer import starts_from_integers

OF_THE_TAIL = ("b_bp", "eta_tail", "tail_passes", "tail_scale")
OF_ZO = ("eps", "eta", "clip", "b_zo", "p_zero", "queries")
OF_VARIANTS = ("spin", "noise")


def without_effect(given, config):
    """A sentence for each option in `given`, {name: value}, that the run of a Config does not depend on."""
    idle = [(("headroom",), "headroom" in given and starts_from_integers(config), "INT8 weights from --init-from"),
            (OF_VARIANTS, config.points and not config.augment, "--augment 0"),
            (OF_THE_TAIL, config.bp_tail == 0, "--bp-tail 0"),
            ((*OF_ZO, "tail_passes"), config.zo_frozen, "--zo-frozen"),   # which makes one pass
            ((*OF_ZO, "r_max", "tail_passes"), config.bp_tail == BP, f"--bp-tail {BP}")]
    for names, holds, reason in idle:
        for name in names if holds else ():
            if name in given:
                yield f"{option(name)} has no effect with {reason}"
    for name, values in given.items():
        if name in config.schedules and len(values) > config.epochs:
            yield (f"{option(name)} has {len(values)} values and the run {config.epochs} "
                   f"epoch{'s' * (config.epochs > 1)}: not all of them have an effect")
