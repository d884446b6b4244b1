"""Where a Chromium for the tests is looked for, without fetching any."""

from __future__ import annotations

from pathlib import Path

import pytest

from devservices.install import chromium
from quality.run_tests import needed_programs


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def an_empty_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.delenv("CHROMEDRIVER", raising=False)
    monkeypatch.setattr(chromium, "FETCHED", tmp_path / "fetched")


def test_nothing_is_found_where_there_is_nothing():
    assert chromium.find() is None


def test_the_one_that_is_named_goes_before_the_one_on_the_path(monkeypatch, tmp_path):
    on_path = [program(tmp_path / "bin" / name) for name in ("chromium", "chromedriver")]
    assert chromium.find() == chromium.Chromium(*on_path)
    named = [program(tmp_path / "mine" / name) for name in ("browser", "driver")]
    monkeypatch.setenv("CHROMIUM", str(named[0]))
    monkeypatch.setenv("CHROMEDRIVER", str(named[1]))
    assert chromium.find() == chromium.Chromium(*named)


def test_one_that_was_unpacked_is_told_where_its_libraries_are(tmp_path):
    tree = tmp_path / "fetched"
    browser = program(tree / "usr/lib/chromium/chromium")
    driver = program(tree / "usr/bin/chromedriver")
    library = tree / "usr/lib/x86_64-linux-gnu" / "libnss3.so"
    library.parent.mkdir(parents=True)
    library.touch()
    found = chromium.find()
    assert (found.browser, found.driver) == (browser, driver)
    assert str(library.parent) in found.environment["LD_LIBRARY_PATH"].split(":")


def test_a_browser_is_needed_for_its_own_environment_only():
    assert chromium in needed_programs([])
    assert chromium in needed_programs(["unit", "browser", "--", "-k", "x"])
    assert chromium not in needed_programs(["unit", "--", "browser"])
