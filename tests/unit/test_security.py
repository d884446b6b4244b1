"""docs/security.md and docs/asvs.md are true: their tests exist, and so does the code they name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pizza.config.settings import Settings
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ASVS = (ROOT / "docs" / "asvs.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE + ASVS)))
# How many sections each chapter of ASVS 4.0.3 has.
SECTIONS = {
    1: 14,
    2: 10,
    3: 7,
    4: 3,
    5: 5,
    6: 4,
    7: 4,
    8: 3,
    9: 2,
    10: 3,
    11: 1,
    12: 6,
    13: 4,
    14: 5,
}
# Modules that can fetch an address that another person has chosen.
FETCHERS = {"aiohttp", "http", "httpx", "requests", "urllib3", "pycurl", "ftplib", "smtplib"}
# The one module that does, after it has checked the address.
FETCHER = ROOT / "pizza" / "webhooks" / "client.py"


def test_each_of_the_ten_risks_has_a_test():
    rows = re.findall(r"^\| API(\d+) .*\|$", PAGE, re.MULTILINE)
    assert rows == [str(n) for n in range(1, 11)]
    for row in re.findall(r"^\| API.*$", PAGE, re.MULTILINE):
        assert "::test_" in row


def test_each_section_of_asvs_has_a_test_or_a_reason():
    rows = re.findall(r"^\| (V\d+\.\d+) \| .+ \| (.+) \|$", ASVS, re.MULTILINE)
    expected = [f"V{chapter}.{n + 1}" for chapter, most in SECTIONS.items() for n in range(most)]
    assert [section for section, _ in rows] == expected
    for section, answer in rows:
        assert "::test_" in answer or answer.startswith(("not applicable", "no test: ")), section


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_named_test_exists(file, name):
    text = (ROOT / file).read_text()
    assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"


def test_one_place_in_the_product_fetches_an_address():
    assert "allow_private" in FETCHER.read_text()
    for path in set((ROOT / "pizza").rglob("*.py")) - {FETCHER}:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{each.name}" for each in node.names]
            for name in names:
                fetches = name.split(".")[0] in FETCHERS and name != "http.HTTPStatus"
                assert not fetches and not name.startswith("urllib.request"), (path, name)


def test_every_address_is_described():
    app = create_app(Settings(), Dependencies(None))
    app.authenticator.auth_required = lambda: True
    described = app.test_client().get("/openapi.json").json["paths"]
    there = {
        re.sub(r"<(?:[^<:]+:)?(\w+)>", r"{\1}", rule.rule).rstrip("/") or "/"
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith(("openapi", "swagger", "pages."))
    }
    assert there == set(described)
