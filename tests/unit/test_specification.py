"""docs/specification.md names tests and files that exist; documented commands have real flags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pizza.cli import commands as verbs
from pizza.cli.help import USAGE
from pizza.config.settings import OPTIONS, Settings
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "specification.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))
FILES = sorted(set(re.findall(r"`((?:pizza|scripts|sql|docs)/[\w./]+)`", PAGE)))
DOCUMENTS = {
    path.name: path.read_text()
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "Procfile")
} | {"usage": USAGE}


def test_every_row_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) > 80
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py::test_\w+` \|$", row)] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_named_test_exists(file, name):
    path = ROOT / file
    assert path.exists(), file
    assert re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize("file", FILES)
def test_every_named_file_exists(file):
    assert (ROOT / file).exists()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_the_documents_has_flags_that_exist(document):
    known = {option.flag for option in OPTIONS}
    known |= {f"--{verb.replace('_', '-')}" for verb in verbs.SETUP_COMMANDS}
    known |= {"--help", "--version"}
    commands = re.findall(r"restaurant-system (-.*)", DOCUMENTS[document])
    flags = {flag for command in commands for flag in re.findall(r"--[a-z-]+", command)}
    assert flags <= known


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_request_in_the_documents_has_an_address(document):
    routes = create_app(Settings(), Dependencies(pool=None)).url_map.bind("localhost")
    address = r"curl (?:-N )?(?:-X (\w+) )?['\"]?(?:http://)?localhost:3000(/[^\s'\"]+)(.*)"
    requests = re.findall(address, DOCUMENTS[document])
    for method, path, rest in requests:
        posts = method or ("POST" if " -d " in f"{rest} " else "GET")
        routes.match(path.partition("?")[0].rstrip("`)"), posts)
