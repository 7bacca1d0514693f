"""Makes everything committed under tests/golden anew, and lets nothing that is frozen change."""
import json
import pathlib
import shutil
import tempfile

from ..errors import UserError
from ..files import write_atomically
from ..run.config_json import read_config
from ..run.fitting import fitted
from ..run.folder import CONFIG, STEPS
from ..run.steps import own_method
from . import FORMAT_VERSION, committed, ops, runs
from .check import check_folder, differences_of
from .tolerances import Tolerances

PARTS = ("ops", "traces", "runs", "contract", "data", "text")


def update(golden, load, say, flags_of, method_of=own_method):
    """Makes all vectors anew: into a new folder first, which then takes the old one's place part by part.

    load, say, method_of: as in check.check.  flags_of: as in ops.vectors.
    Kept as they are, and said so: a run whose data are not here, and FP32 vectors that agree within their tolerances,
    which another machine would write with other last bits.
    Raises UserError, with nothing changed, if what is frozen would change.
    """
    check_folder(golden)
    with tempfile.TemporaryDirectory(dir=golden.parent) as scratch:
        new = pathlib.Path(scratch)
        ops.write_ops(new / "ops", flags_of)
        for name in committed.TRACES:
            committed.make_trace(name, load, new / "traces" / name, method_of)
            say(f"{_keep_if_near(golden, new, f'traces/{name}', _agreeing_traces)} trace {name}")
        for name, options in committed.RUNS.items():
            config = committed.config_of(options)
            dataset = load(config)
            config = fitted(config, dataset)
            folder = new / "runs" / name
            if dataset.name != config.data or not dataset.complete and config.data == "mnist":
                shutil.copytree(golden / "runs" / name, folder)
                say(f"kept run {name}: its data are not here")
                continue
            committed.make_run(name, config, dataset, folder, method_of)
            say(f"{_keep_if_near(golden, new, f'runs/{name}', _agreeing_runs)} run {name}")
        for name, content in {**committed.made_beside(load), **committed.made_as_text(new)}.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(new / name, content)
        _refuse_frozen(golden, new)
        for part in PARTS:
            shutil.rmtree(golden / part, ignore_errors=True)
            if (new / part).exists():
                (new / part).rename(golden / part)
    say(f"format_version {FORMAT_VERSION}")


def _keep_if_near(golden, new, name, agree):
    """Puts the committed FP32 vectors in place of new ones, if agree(kept, again).  Returns what it did."""
    kept, again = golden / name, new / name
    if "-fp32-" not in name or not kept.is_dir() or not agree(kept, again):
        return "made"
    shutil.rmtree(again)
    shutil.copytree(kept, again)
    return "kept, as within its tolerances,"


def _agreeing_traces(kept, again):
    try:
        return not differences_of(kept, again)[1]
    except UserError:   # damaged, or of another format_version
        return False


def _agreeing_runs(kept, again):
    if not all((kept / file).exists() for file in (CONFIG, STEPS, runs.EVALUATION)) or \
            (kept / CONFIG).read_bytes() != (again / CONFIG).read_bytes():
        return False
    tolerances = Tolerances(read_config(again).schedules)
    pairs = [(runs.committed_lines(kept / file), runs.committed_lines(again / file))
             for file in (STEPS, runs.EVALUATION)]
    return all(len(old) == len(made) and all(map(tolerances.line, old, made)) for old, made in pairs)


def _refuse_frozen(golden, new):
    """Raises UserError if files of a frozen format_version would change or go; others may be added to it.

    The folder contract lists what there is, new vectors among it: it may grow.
    """
    versions = {json.loads(path.read_bytes()).get("format_version") for path in (golden / "ops").glob("*.json")}
    frozen = [path for part in PARTS if part != "contract" for path in sorted((golden / part).rglob("*"))]
    changed = [path for path in frozen if path.is_file() and not
               ((again := new / path.relative_to(golden)).exists() and again.read_bytes() == path.read_bytes())]
    if FORMAT_VERSION in versions and changed:
        raise UserError(f"{len(changed)} committed files would change, first {changed[0]}, and format_version "
                        f"{FORMAT_VERSION} is frozen: raise FORMAT_VERSION in zo_numpy/golden/__init__.py, and say in "
                        f"{golden / 'README.md'} what changed")
