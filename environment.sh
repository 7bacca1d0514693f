#!/bin/sh
# Makes the environment that `make` works in, unless it is there and works:
#     sh environment.sh PYTHON FOLDER [chosen]
# chosen: the user asked for this PYTHON, so that the environment of another one is made anew.
# Nothing but this folder and what PYTHON can download is used: not the user's own packages, whatever variables say.
# Where nothing can be downloaded but PYTHON has the packages, it lends them.
unset PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONUSERBASE PYTHONWARNINGS __PYVENV_LAUNCHER__ VIRTUAL_ENV
unset CONDA_PREFIX _CONDA_PYTHON_SYSCONFIGDATA_NAME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_QUIET PIP_VERBOSE PIP_NO_DEPS
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_NO_INPUT=1 PIP_RETRIES=2 PIP_DEFAULT_TIMEOUT=15

PYTHON=$1 FOLDER=$2 CHOSEN=$3
RUN=$FOLDER/bin/python
NEEDED='numpy, scipy, h5py, matplotlib, PIL, pytest'
SECONDS_OF_SILENCE=17   # until the network counts as away
SOMETHING_CAME='^ *(Downloading|Using cached|Processing|Obtaining dependency) '   # in what pip says

fail() {
    echo "error: $*" >&2
    exit 2
}

which_python() {
    "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null
}

if [ -e "$FOLDER/ready" ]; then
    if ! "$RUN" -c 'import sys' 2>/dev/null; then
        echo "$FOLDER has no Python that works any more: making it anew"
    elif [ -n "$CHOSEN" ] && [ "$(which_python "$PYTHON")" != "$(which_python "$RUN")" ]; then
        echo "$FOLDER is of another Python than $PYTHON: making it anew"
    elif [ -z "$(find setup.cfg setup.py pyproject.toml -newer "$FOLDER/ready")" ]; then
        exit 0
    fi
fi

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "\"$PYTHON\" is not a Python of 3.10 or newer; install one, or name it: make PYTHON=/path/to/python3"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$PYTHON has no venv; install it (on Debian and Ubuntu: apt install python3-venv), or name another Python:" \
         "make PYTHON=/path/to/python3"
if [ -d "$FOLDER" ] && [ ! -e "$FOLDER/by-make" ] && [ ! -e "$FOLDER/ready" ] && "$RUN" -c 'import sys' 2>/dev/null; then
    fail "$FOLDER is an environment that make has not made, and stays as it is; move it away, or name another folder:" \
         "make VENV=folder"
fi
if [ -L "$FOLDER" ]; then   # making it anew would empty the folder that it points to
    fail "$FOLDER is a link, and the environment that it points to is not for this clone: remove the link, or name" \
         "another folder: make VENV=folder"
fi
echo "making the environment $FOLDER (once; about a minute)"
said=$("$PYTHON" -m venv --clear "$FOLDER" 2>&1) || {
    [ -w . ] && fail "the environment $FOLDER cannot be made:" $said \
        "- or name another Python: make PYTHON=/path/to/python3"
    fail "this folder cannot be written; name a folder for the environment: make VENV=/path/to/one"
}
touch "$FOLDER/by-make"

# Runs pip, its output in pip.log; fails if nothing comes.
install() {
    : >"$FOLDER/pip.log"
    "$RUN" -m pip install --disable-pip-version-check --progress-bar off "$@" >"$FOLDER/pip.log" 2>&1 &
    pip=$! silent=0
    while kill -0 $pip 2>/dev/null && ! grep -Eq "$SOMETHING_CAME" "$FOLDER/pip.log"; do
        if [ $silent -ge $SECONDS_OF_SILENCE ]; then
            kill $pip 2>/dev/null
            echo "no package index answers within $SECONDS_OF_SILENCE s" >>"$FOLDER/pip.log"
        fi
        sleep 1
        silent=$((silent + 1))
    done
    wait $pip
}

# What setup.cfg asks for, a line each.
requirements() {
    "$RUN" -c 'import configparser; c = configparser.ConfigParser(); c.read("setup.cfg", "utf-8")
print(c["options"]["install_requires"].strip(), c["options.extras_require"]["test"], sep="\n")'
}

# Has the environment's Python find more folders, a line each.
find_also() {
    cat >"$("$RUN" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/found_by_make.pth"
}

borrow() {
    "$PYTHON" -c "import $NEEDED" 2>/dev/null || return 1
    echo "nothing can be downloaded; using the packages that $PYTHON has"
    "$PYTHON" -m venv --clear --without-pip "$FOLDER" && touch "$FOLDER/by-make" &&
        { pwd; "$PYTHON" -c 'import sys; print(*[p for p in sys.path if p.endswith("-packages")], sep="\n")'; } |
        find_also && "$RUN" -c "import $NEEDED"
}

# Not `pip install -e .`, which writes into this folder and takes a $ in its path for a variable.
{ requirements >"$FOLDER/requirements.txt" && install -r "$FOLDER/requirements.txt" && pwd | find_also; } || borrow ||
    fail "the packages cannot be installed ($FOLDER/pip.log says why); check the network, or name a Python that has" \
         "$NEEDED: make PYTHON=/path/to/python3"
touch "$FOLDER/ready"
