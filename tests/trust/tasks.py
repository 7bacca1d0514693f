"""What is disturbed: training, a download, exports. A task begins in an empty folder and goes on by being begun again.

Each is shown the folder of an undisturbed task, and says of another one what in it is half-written and, at the end,
what is not the same.
"""
import functools
import http.server

from datasets import download, mnist, store
from datasets.image_set import FILES, digest
from tests.trust import runs
from tests.trust.runs import is_part
from zo_numpy.__main__ import main
from zo_numpy.run import trainer

DATA = ("--model", "narrow-lenet", "--data", "mnist-subset", "--validate", "40", "--limit", "96", "--batch-size", "16")


class Training:
    """`train --resume`: 6 steps an epoch.  save_every: seconds between checkpoints within an epoch."""

    def __init__(self, name, *options, epochs, save_every=1000):
        self.name, self.options, self.save_every = name, (*DATA, "--epochs", str(epochs), *options), save_every

    def work(self, folder):
        trainer.SAVE_EVERY_SECONDS = self.save_every
        return main(["train", *self.options, "--out", str(folder / "run"), "--resume"])

    def half_written(self, folder, undisturbed):
        return runs.half_written(folder / "run", undisturbed / "run") if (folder / "run").exists() else []

    def differences(self, folder, undisturbed):
        return runs.differences(folder / "run", undisturbed / "run")


class Files:
    """A task that makes files in a folder, each whole or not at all."""

    def half_written(self, folder, undisturbed):
        return [f"{path.relative_to(folder)} is half-written or none of the files" for path in below(folder)
                if not (wanted := undisturbed / path.relative_to(folder)).exists()
                or path.read_bytes() != wanted.read_bytes()]

    def differences(self, folder, undisturbed):
        made, wanted = ({path.relative_to(place) for path in place.rglob("*")} for place in (folder, undisturbed))
        found = [f"{path} is missing or left over" for path in made ^ wanted]
        return found + self.half_written(folder, undisturbed)


def below(folder):
    """The files below a folder that do not stand under a hidden .part name."""
    return [path for path in folder.rglob("*") if path.is_file()
            and not any(map(is_part, (path, *path.relative_to(folder).parents)))]


class Download(Files):
    """The four files of the embedded subset from a mirror on this machine.  url: of the mirror's folder."""
    name = "downloading"

    def __init__(self, url):
        self.spec = mnist.SUBSET._replace(mirrors=(url,))

    def work(self, folder):
        mnist.MNIST = self.spec
        return download.main(["mnist", "--data-dir", str(folder)])

    def differences(self, folder, undisturbed):
        found = [f"{file} has another SHA-256" for file in FILES
                 if digest((folder / self.spec.name / file).read_bytes()) != self.spec.sha256[file]]
        return found + super().differences(folder, undisturbed)


class GoldenExport(Files):
    """A trace of two steps, every tensor of them. A trace that is there is whole, and is not exported again."""
    name = "golden export"

    def work(self, folder):
        if (folder / "trace").exists():
            return 0
        return main(["golden", "export", str(folder / "trace"), *DATA, "--epochs", "1", "--bp-tail", "1",
                     "--steps", "2"])


class RunExport(Files):
    """The weights of a run as .npz and as a C header, and those that `replay` makes.  run: a finished run, K = 0."""
    name = "run export"

    def __init__(self, run):
        self.commands = (("export", str(run), "--format", "npz"), ("export", str(run), "--format", "c"),
                         ("replay", str(run)))

    def work(self, folder):
        for command, name in zip(self.commands, ("weights.npz", "weights.h", "replayed.npz")):
            if status := main([*command, "--out", str(folder / name)]):
                return status
        return 0


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(server):
    """A mirror that serves the embedded files, for ever."""
    server.RequestHandlerClass = functools.partial(Quiet, directory=str(store.EMBEDDED))
    server.serve_forever()
