"""Storms at small size: the command's parts, on the session's servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devservices import Servers
from storms import cli
from storms.run import Weather, weather
from storms.storm import STORMS
from storms.verdict import Verdict

SMALL = Weather(seed=7, seconds=2.0, rate=4.0, calm=0.5)


@pytest.mark.parametrize("name", ["cooks", "duplicates"])
def test_a_small_storm_ends_in_zeros(servers: Servers, tmp_path: Path, name: str) -> None:
    verdict = weather(servers, tmp_path, STORMS[name], SMALL)
    assert verdict.good, cli.words(verdict)
    assert verdict.accepted > 0
    assert verdict.delivered >= verdict.accepted


def test_every_storm_has_its_name_and_its_sentence() -> None:
    assert {"cooks", "stations", "order-service", "broker-killed", "database-killed"} <= set(STORMS)
    assert all(storm.sentence for storm in STORMS.values())


def test_an_unknown_storm_is_refused_with_the_names_of_those_that_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.parse_arguments(["tornado"])
    assert "there is no storm 'tornado'; there are" in capsys.readouterr().err


def test_a_bad_verdict_says_what_and_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict("cooks", 1, 30.0, accepted=2, delivered=1, lost=["ORD_20261125_002"])
    assert cli.words(verdict) == "1 lost (ORD_20261125_002)"
    cli.show([verdict])
    cli.write(tmp_path / "chaos.json", [verdict])
    assert "cooks" in capsys.readouterr().out
    (written,) = json.loads((tmp_path / "chaos.json").read_text())["verdicts"]
    assert (written["good"], written["lost"]) == (False, ["ORD_20261125_002"])


def test_what_a_storm_may_spoil_does_not_spoil_the_verdict() -> None:
    lost_notification = Verdict("broker-wiped", 1, 30.0, unheard=["ORD_1"], excused=["unheard"])
    assert lost_notification.good
    assert "(1)" in cli.cells(lost_notification)
