"""Where tasks are disturbed, what an undisturbed one makes and takes, and the list of what was not as it must be."""
import itertools
import shutil

from tests.trust.children import run


class Bench:
    """Where tasks are disturbed: numbered scratch folders, the undisturbed results, what was found."""

    def __init__(self, scratch, seed):
        self.scratch, self.seed, self.problems = scratch, seed, []
        self.numbers = itertools.count()
        self.undisturbed, self.seconds = {}, {}

    def new(self):
        folder = self.scratch / f"f{next(self.numbers)}"
        folder.mkdir()
        return folder

    def know(self, task):
        """Runs a task undisturbed, three times: its result and the shortest time it takes."""
        times = []
        for _ in range(3):
            folder = self.new()
            times.append(self.go_on(task, folder).seconds)
        self.undisturbed[task.name], self.seconds[task.name] = folder, min(times)

    def blame(self, task, what):
        self.problems.append(f"{task.name}: {what}")
        print("    PROBLEM", self.problems[-1], flush=True)

    def check(self, task, folder):
        """Blames what is half-written."""
        for what in task.half_written(folder, self.undisturbed[task.name]):
            self.blame(task, what)

    def go_on(self, task, folder):
        """Begins the task, or begins it again; it must end without a word on stderr.  Returns its End."""
        end = run(lambda: task.work(folder))
        if end.status or end.err:
            self.blame(task, f"it did not go on: status {end.status}, {end.err[-500:]!r}")
        return end

    def finish(self, task, folder):
        """Lets the task go on to its end; blames all that is not as it must be; removes the folder."""
        self.go_on(task, folder)
        for what in task.differences(folder, self.undisturbed[task.name]):
            self.blame(task, what)
        shutil.rmtree(folder)

    def refused(self, task, end, statuses=(2,)):
        """Blames a child that did not end with one line that begins with `error: `, or as another status says it."""
        if end.status not in statuses or end.status == 2 and not (
                end.err.startswith("error: ") and end.err.count("\n") == 1 and end.err.endswith("\n")):
            self.blame(task, f"status {end.status}, {end.err[-500:]!r}")

    def no_parts(self, task, folder):
        """Blames what an error or a Ctrl-C left under a hidden name: only a kill may."""
        for path in folder.rglob(".*.part"):
            self.blame(task, f"{path.name} is left")
