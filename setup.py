"""What setup.cfg cannot say: an installed package carries datasets/ inside of itself, in zo_numpy/carried.

A package of the name `datasets` of its own could stand in the way of others' or they in its. zo_numpy/app/beside.py
finds it by its place. What is installed with `pip install -e .` is the clone itself and needs nothing carried.
"""
import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):
            target = pathlib.Path(self.build_lib) / "zo_numpy" / "carried" / "datasets"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("datasets", target, ignore=shutil.ignore_patterns("__pycache__", "cache"))


setup(cmdclass={"build_py": BuildWithData})
