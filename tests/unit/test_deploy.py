"""The files in deploy/: they name only what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pizza.settings import OPTIONS, load
from pizza.web.metrics import COUNTERS, HELP, HISTOGRAMS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(
    file for file in (DEPLOY / "systemd").iterdir() if file.suffix in (".service", ".target")
)
PROGRAM = "/opt/pizza/bin/restaurant-system"
METRIC = re.compile(r"\bpizza_\w+")


def exported() -> set[str]:
    names = set()
    for name in HELP:
        suffixes = ["_total"] if name in COUNTERS else [""]
        if name in HISTOGRAMS:
            suffixes = ["_bucket", "_sum", "_count"]
        names |= {f"pizza_{name}{suffix}" for suffix in suffixes}
    return names


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def queries() -> list[str]:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_every_figure_on_the_dashboard_is_exported() -> None:
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert asked <= exported()
    assert len(asked) > 15


def test_every_figure_that_an_alert_looks_at_is_exported() -> None:
    for rule in rules():
        asked = METRIC.findall(rule["expr"])
        assert asked, rule
        assert set(asked) <= exported(), rule["alert"]


def test_counters_are_only_asked_for_how_they_grow() -> None:
    growing = "|".join(sorted(name for name in exported() if re.search("_(total|bucket)$", name)))
    for query in [*queries(), *(rule["expr"] for rule in rules())]:
        for use in re.finditer(growing, query):
            before = query[: use.start()]
            assert before.endswith(("rate(", "increase(")), query


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    handbook = (ROOT / "docs" / "operations.md").read_text()
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[ms]", rule["for"])
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert f"`{rule['alert']}`" in handbook, rule["alert"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("restaurant-system")
    for unit in UNITS:
        text = unit.read_text().replace(PROGRAM, str(program)).replace("User=pizza", "User=root")
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []


def test_units_and_containers_start_the_program_with_flags_that_it_has() -> None:
    known = {option.flag for option in OPTIONS if option.flag} | {"--setup-db", "--setup-queues"}
    texts = [unit.read_text() for unit in UNITS] + [(DEPLOY / "compose.yaml").read_text()]
    flags = {
        flag
        for text in texts
        for line in text.splitlines()
        if "restaurant-system" in line or "command:" in line
        for flag in re.findall(r"(?<![\w-])--[a-z-]+", line)
    }
    assert "--mode" in flags
    assert flags <= known


def test_the_environment_file_is_one_that_the_program_takes() -> None:
    text = (
        (DEPLOY / "systemd" / "pizza.env")
        .read_text()
        .replace("STAFF_KEY=CHANGE", "STAFF_KEY=" + "k" * 40)
    )
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)
    variables = {option.variable for option in OPTIONS}
    assert set(given) <= variables
    settings = load({}, given, None)
    assert settings.environment == "production"
    assert settings.keys


class TestCompose:
    """No engine runs it here: what a reader of YAML can hold."""

    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = document["services"]

    def test_servers_and_the_order_service_say_when_they_are_well(self) -> None:
        for name in ("postgres", "rabbitmq", "order-service"):
            assert self.services[name]["healthcheck"]["test"][0] == "CMD"

    def test_tables_and_queues_come_first(self) -> None:
        ours = [each for each in self.services.values() if each.get("image") == "pizza"]
        assert len(ours) == 8
        for each in ours:
            if each.get("command") != ["--setup-db", "--setup-queues"]:
                wanted = {"setup": {"condition": "service_completed_successfully"}}
                assert each["depends_on"] == wanted

    def test_it_runs_in_production_and_holds_no_secret(self) -> None:
        for each in self.services.values():
            if each.get("image") == "pizza":
                assert each["environment"]["PIZZA_ENV"] == "production"
        secrets = re.findall(r"(?:PASS|PASSWORD|KEY): (.*)", (DEPLOY / "compose.yaml").read_text())
        assert secrets
        assert all(secret.startswith("${") and ":?" in secret for secret in secrets)

    def test_volumes_are_declared(self) -> None:
        used = {
            volume.split(":")[0]
            for each in self.services.values()
            for volume in each.get("volumes", [])
        }
        assert used == set(self.document["volumes"])
