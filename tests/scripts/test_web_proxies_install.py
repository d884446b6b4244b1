"""Where nginx and its like are looked for, without fetching any."""

from __future__ import annotations

from pathlib import Path

import pytest

from devservices import ProcessFailed
from devservices.install import packages, web_proxies
from quality.run_tests import needed_programs


@pytest.fixture(autouse=True)
def an_empty_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(web_proxies, "FETCHED", tmp_path / "fetched")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def programs(root: Path) -> None:
    for name in web_proxies.PACKAGES:
        path = root / "usr/sbin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)


def find() -> packages.Programs | None:
    return packages.find_programs(web_proxies.PACKAGES, web_proxies.FETCHED)


def test_nothing_is_found_where_one_of_them_is_missing(tmp_path):
    programs(tmp_path / "system")
    (tmp_path / "system/usr/sbin/caddy").unlink()
    assert find() is None


def test_those_of_the_system_go_before_those_that_were_unpacked(tmp_path):
    programs(tmp_path / "fetched")
    library = tmp_path / "fetched/usr/lib/x86_64-linux-gnu"
    library.mkdir(parents=True)
    found = find()
    assert found.paths["nginx"] == tmp_path / "fetched/usr/sbin/nginx"
    assert found.environment["LD_LIBRARY_PATH"] == str(library)

    programs(tmp_path / "system")
    found = find()
    assert found.paths["nginx"] == tmp_path / "system/usr/sbin/nginx"
    assert found.environment == {}


def test_where_none_can_be_had_a_sentence_says_which(monkeypatch):
    monkeypatch.setattr(packages.debian, "available", lambda: False)
    sentence = "No nginx, haproxy, caddy, apache2 was found and this machine has no apt-get."
    with pytest.raises(ProcessFailed, match=sentence):
        web_proxies.find_or_fetch()


def test_they_are_needed_for_the_environments_that_try_them():
    assert web_proxies in needed_programs([])
    assert web_proxies in needed_programs(["unit", "acceptance"])
    assert web_proxies not in needed_programs(["unit", "--", "browser"])
