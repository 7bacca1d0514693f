"""The number of a version is the same wherever it stands; what is to be cited can be read."""
import configparser
import re

from small_runs import ROOT
from zo_numpy import __version__
from zo_numpy.golden import FORMAT_VERSION

CITATION, CHANGES = ((ROOT / name).read_text() for name in ("CITATION.cff", "CHANGELOG.md"))


def test_a_version_has_one_number():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    released = re.findall(r"^## (\d+\.\d+\.\d+)$", CHANGES, re.M)
    assert __version__ == setup["metadata"]["version"] == released[0]
    assert re.findall(r"^version: (.*)$", CITATION, re.M) == [__version__]
    assert released == sorted(released, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def test_the_changelog_speaks_of_the_format_that_is_frozen():
    assert f"now {FORMAT_VERSION})" in CHANGES and f"Version {FORMAT_VERSION + 1} is needed when" in CHANGES


def test_names_of_code_in_the_changelog_exist():
    for name, path in re.findall(r"`(\w+)`\s+in\s+`([\w/.]+)`", CHANGES):
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.M), name
    for path in re.findall(r"`([\w.]+/[\w/.]+)`", CHANGES):
        assert (ROOT / path).exists(), path


def test_the_papers_are_cited():
    for number in ("2501.04287", "2009.13108"):
        assert f'"arXiv:{number}"' in CITATION and f'"https://arxiv.org/abs/{number}"' in CITATION
        assert number in (ROOT / "README.md").read_text()
    assert "preferred-citation:\n  type: article\n" in CITATION and "license: BSD-3-Clause\n" in CITATION


def test_the_citation_is_yaml_of_the_plain_kind():
    """Without tabs; keys of two blanks a level; a text with a colon in quotes or folded."""
    folded = None
    for line in CITATION.splitlines():
        depth = len(line) - len(line.lstrip())
        if folded is not None and depth > folded:
            continue
        folded = depth if line.endswith(">-") else None
        assert "\t" not in line and depth % 2 == 0
        assert re.fullmatch(r' *(- )?[\w-]+:( (>-|"[^"]*"|\[[^]]*\]|[^":\[\]>]+))?', line), line
