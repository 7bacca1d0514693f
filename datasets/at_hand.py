"""The command that chooses the clouds PointNet trains on, for the Makefile: python -m datasets.at_hand [FOLDER]."""

import os
import shlex
import sys

from datasets import solids
from datasets.modelnet import COMPLETE, NAMES, TITLES
from datasets.store import default_parent
from zo_numpy.files import short


def main(arguments):
    """Print the options of `train` for the clouds at hand: ModelNet in the folder named, else in the cache, else the
    synthetic solids. Say on stderr which. Returns the exit status.
    """
    named = arguments[0] if arguments else ""
    if named:
        choice = ["modelnet", "--data-dir", named]
    else:
        cached = [name for name in COMPLETE if os.path.exists(default_parent() / name / NAMES)]
        choice = [*cached, solids.NAME][:1]
    if choice == [solids.NAME]:
        print(f"no ModelNet in {short(default_parent())}: training on SYNTHETIC solids; name a copy of it with "
              "MODELNET=folder, or fetch it with: python -m datasets.download modelnet40", file=sys.stderr)
    else:
        print(f"training on {TITLES[choice[0]]}" + (f" in {named}" if named else ""), file=sys.stderr)
    print("--data", shlex.join(choice))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
