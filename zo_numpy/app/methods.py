"""What makes the steps of a run: a precision itself, or what experiments/ adds to it for `--bp-tail all` (full BP)
and `--loss float` (float64 in place of INT8's integer loss: a comparison, not integers only).
"""
from ..run.config import BP
from ..run.steps import Method, compares_loss, own_method
from .beside import module_beside

FULL_BP, FLOAT_LOSS = f"--bp-tail {BP}", "--loss float"


def method_of(config):
    """The steps.Method of a Config.  Raises UserError where it needs experiments/ and they are not at hand."""
    method = own_method(config)
    if config.bp_tail == BP:
        method = Method(module_beside(f"experiments.full_bp.{config.precision}", FULL_BP).train_step)
    if compares_loss(config):
        method = method._replace(loss=module_beside("experiments.float_loss", FLOAT_LOSS).cross_entropy)
    return method
