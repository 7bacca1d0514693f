"""The data of a run."""
from .beside import module_beside
from .progress import say


def load_data(config, data_dir=None, offline=False, announce=say):
    """The Dataset of a run, turned or disturbed if it asks for that.  announce: called with what is said of it.

    Raises UserError.
    """
    what = f"--data {config.data}"
    clouds = {"points": config.points} if config.points else {}
    dataset = module_beside("datasets", what).load(config.data, data_dir=data_dir, offline=offline, announce=announce,
                                                   **clouds)
    if config.tilt or config.jitter:
        dataset = module_beside("datasets.disturb", what).changed(dataset, config.tilt, config.jitter)
    if config.rotate:   # needs scipy, which nothing else here does
        dataset = module_beside("datasets.rotate", what).rotated(dataset, config.rotate)
    return dataset


def at_hand(config):
    """The Dataset of a run without the network and without a word."""
    return load_data(config, offline=True, announce=lambda text: None)
