"""The data of a run: named data sets, which datasets/ knows, and a user's own files."""
import dataclasses
import pathlib
from typing import NamedTuple

from .. import models
from ..errors import UserError
from ..files import short, user_path
from ..run.config import CHOICES, check_data, is_own
from ..run.folder import read_description
from ..run.origin import origin_of, read_origin
from ..run.own_data import load_own_data
from .beside import module_beside
from .progress import say

SHOWN = 12   # digits of a digest
SUBSET = "mnist-subset"


class Place(NamedTuple):
    """Where data are looked for: a user's file, a folder, or by their name."""
    file: pathlib.Path | None = None
    data_dir: pathlib.Path | None = None
    offline: bool = False
    subset: bool = False   # the embedded one, whatever else is at hand


def own_file(given):
    """(the options, the file or None): `--data FILE.npz` becomes the file's name, which is what decides a result.

    Raises UserError for a folder or another file, which must be packed first.
    """
    data = given.get("data")
    if data is None or data in CHOICES["data"]:
        return given, None
    path = user_path(data)
    if is_own(data):
        return {**given, "data": path.name}, path
    if path.exists():
        raise UserError(f"--data {data}: make one .npz file of it first: python -m datasets.pack {data} FILE.npz")
    return given, None


def _load_unchanged(config, place, announce):
    """The Dataset of a run before it is turned or disturbed."""
    if is_own(config.data):
        if place.data_dir:
            raise UserError(f"--data-dir has no meaning with --data {config.data}, which is one file: leave it out")
        return load_own_data(place.file, config.points, announce)
    clouds = {"points": config.points} if config.points else {}
    load = module_beside("datasets", f"--data {config.data}").load
    if place.subset:
        return load(SUBSET, announce=announce)._replace(name=config.data)
    return load(config.data, data_dir=place.data_dir, offline=place.offline, announce=announce, **clouds)


def _changed(config, dataset):
    """The Dataset turned or disturbed, if a run asks for that."""
    what = f"--data {config.data}"
    if config.tilt or config.jitter:
        dataset = module_beside("datasets.disturb", what).changed(dataset, config.tilt, config.jitter)
    if config.rotate:   # needs scipy, which nothing else here does
        dataset = module_beside("datasets.rotate", what).rotated(dataset, config.rotate)
    return dataset


def load_data(config, data_dir=None, offline=False, announce=say, file=None):
    """The Dataset of a run, turned or disturbed if it asks for that.  announce: called with what is said of it.

    file: of a user's own data.  Raises UserError.
    """
    return load_with_origin(config, Place(file, data_dir and pathlib.Path(data_dir), offline), announce)[0]


def load_with_origin(config, place, announce=say):
    """(the Dataset of a run, its Origin).  Raises UserError."""
    dataset = _load_unchanged(config, place, announce)
    return _changed(config, dataset), origin_of(config, dataset, place.file or place.data_dir)


def at_hand(config):
    """The Dataset of a run without the network and without a word."""
    return load_data(config, offline=True, announce=lambda text: None)


def recorded(run, config, offline=False):
    """The Place of the data that the run in a folder was trained on.  Raises UserError if they are not there."""
    origin = read_origin(run, models.of_run(config).input_shape)
    path, own = pathlib.Path(origin.path) if origin.path else None, is_own(config.data)
    option = "--data" if own else "--data-dir"
    if own and not path:
        raise UserError(f"{run} does not say where its data, {config.data}, are: name them with {option}")
    if path and not path.exists():
        raise UserError(f"{path}, which {run} was trained on, is not there any more: name its new place with {option}")
    if own:
        return Place(file=short(path))
    part = not read_description(run)["dataset"]["complete"]
    return Place(data_dir=path, offline=offline, subset=part and not path and config.data == "mnist")


def data_of_run(run, config, data=None, data_dir=None, offline=False):
    """The Dataset that a run was trained on, or the one that options name instead, which is said.

    config: the run's, perhaps with another `rotate`.  data, data_dir: as given.
    Raises UserError, also if the run's own data have changed.
    """
    origin, named = read_origin(run, models.of_run(config).input_shape), data or data_dir
    if named:
        given, file = own_file({"data": data or config.data})
        check_data(given["data"])
        config, place = dataclasses.replace(config, data=given["data"]), Place(file, data_dir, offline)
    else:
        place = recorded(run, config, offline)
    dataset, found = load_with_origin(config, place)
    if origin.digest and found.digest != origin.digest:
        if not named:
            raise UserError(other_data(run, origin, found, dataset))
        say(f"other data than {run} was trained on (digest {origin.digest[:SHOWN]}): {dataset.source}, digest "
            f"{found.digest[:SHOWN]}")
        if found.classes != origin.classes and len(found.classes) == len(origin.classes):
            say("their classes have other names; each stands for the one of its number")
    return dataset


def other_data(run, origin, found, dataset):
    """Why data are not those of a run, and what to do.  origin, found: the Origins of the run and of the data."""
    described = read_description(run)["dataset"]
    digests = f"digest {(origin.digest or described['digest'])[:SHOWN]}, now {found.digest[:SHOWN]}"
    if not described["complete"] and dataset.complete:
        return (f"{run} was begun on a part of the data ({described['source']}), and now there are all "
                f"({dataset.source}): train on them in another --out; to go on with the part, leave --data and "
                f"--data-dir out: python -m zo_numpy train --resume --out {run}")
    if origin.path and origin.path == found.path:
        return (f"{found.path} has changed since {run} was trained on it ({digests}): restore it; to use it as it is "
                "now, name it with --data or --data-dir to evaluate, or choose another --out to train")
    return (f"{run} was trained on other data ({described['source']}; {digests}), these are {dataset.source}: name "
            "the run's own with --data or --data-dir, or choose another --out to train")
