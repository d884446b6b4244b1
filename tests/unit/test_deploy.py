"""The files in deploy/ name only what exists."""

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
from packaging.utils import canonicalize_name

from pizza.config.settings import OPTIONS, load
from pizza.web.api.metrics import COUNTERS, HELP, HISTOGRAMS
from quality import sbom

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


def test_every_metric_of_an_alert_is_exported() -> None:
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


SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
# The exposure that systemd-analyze calls OK; above it is what a unit without a sandbox has (9.6).
MOST_EXPOSED = 4.0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_each_unit_is_a_sandbox(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a unit that is not loaded")
    exposure = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) < MOST_EXPOSED


def test_all_units_have_the_same_sandbox() -> None:
    sandboxes = {
        unit.read_text().split("UMask=")[1].split("\n[Install]")[0].strip() for unit in SERVICES
    }
    assert len(sandboxes) == 1
    (sandbox,) = sandboxes
    for line in ("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict",
                 "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service"):  # fmt: skip
        assert line in sandbox.splitlines()


def test_every_image_has_a_version_and_a_digest() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    images = {each["image"] for each in compose["services"].values()} - {"pizza"}
    images |= set(re.findall(r"^ARG \w+=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert len(images) == 3
    for image in images:
        assert re.fullmatch(r"[a-z]+:\d[\w.-]*@sha256:[0-9a-f]{64}", image), image
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert set(bases) == {"${PYTHON}"}


def test_an_image_holds_what_is_installed_and_runs_as_nobody_special() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert let_in == {"pizza", "sql", "setup.cfg", "pyproject.toml", "README.md", "LICENSE",
                      "deploy/requirements.txt"}  # fmt: skip
    assert all((ROOT / each).exists() for each in let_in)
    last_stage = (DEPLOY / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER \d+$", last_stage, re.MULTILINE)
    assert "--require-hashes" in (DEPLOY / "Dockerfile").read_text()


def test_what_is_installed_has_the_tested_versions_and_hashes() -> None:
    text = (DEPLOY / "requirements.txt").read_text().replace("\\\n", " ")
    pins = re.findall(
        r"^([\w.-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *$", text, re.MULTILINE
    )
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(pins) == len(entries)
    locked = {canonicalize_name(name): version for name, version, _ in pins}
    tested = {
        canonicalize_name(name): version
        for name, version in re.findall(
            r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE
        )
    }
    assert {name: version for name, version in locked.items() if name != "setuptools"} == {
        name: tested[name] for name in locked if name != "setuptools"
    }
    needed = set(sbom.packages()) - {"pizza"}
    assert needed <= set(locked), "run the command in deploy/requirements.txt again"


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
    assert settings.env == "production"
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

    def test_containers_of_the_program_write_nothing_and_have_no_right(self) -> None:
        ours = [each for each in self.services.values() if each.get("image") == "pizza"]
        for each in ours:
            assert each["read_only"] is True
            assert each["cap_drop"] == ["ALL"]
            assert each["security_opt"] == ["no-new-privileges:true"]

    def test_the_program_is_no_superuser_of_the_database(self) -> None:
        database = self.services["postgres"]
        assert "POSTGRES_USER" not in database["environment"]
        (script,) = [each for each in database["volumes"] if "initdb.d" in each]
        path = DEPLOY / script.split(":")[0]
        assert path.stat().st_mode & 0o111
        assert "create role pizza login nosuperuser" in path.read_text()
        for each in self.services.values():
            if each.get("image") == "pizza":
                assert each["environment"]["DB_URL"].startswith("postgres://pizza:${PIZZA_DB_PASS")

    def test_volumes_are_declared(self) -> None:
        used = {
            volume.split(":")[0]
            for each in self.services.values()
            for volume in each.get("volumes", [])
            if not volume.startswith(".")
        }
        assert used == set(self.document["volumes"])
