"""What setup.cfg, constraints.txt and the Procfile say is true of the tree."""

import configparser
import re
import subprocess
from pathlib import Path

from pizza.domain.stations import STATION_NAMES
from supervisor.supervisor import read_procfile

ROOT = Path(__file__).resolve().parents[2]


def setup_cfg() -> configparser.RawConfigParser:
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_every_package_is_listed():
    listed = setup_cfg()["options"]["packages"].split()
    folders = {path.parent for path in (ROOT / "pizza").rglob("__init__.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(listed) == found | {"pizza.sql"}


def test_every_requirement_has_a_tested_version():
    options = setup_cfg()
    text = options["options"]["install_requires"] + "".join(
        options["options.extras_require"].values()
    )
    names = re.findall(r"^([A-Za-z][\w.-]*)", text, re.MULTILINE)
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in names} <= normal


def test_procfile_staffs_every_station_and_names_cooks_one_by_one():
    entries = read_procfile({"cook": 3})
    names = [entry.name for entry in entries]
    assert names[:4] == ["order-service.1", "cook.1", "cook.2", "cook.3"]
    assert {"quality.1", "packaging.1", "courier.1", "tracking.1", "notifications.1"} <= set(names)
    assert all("exec restaurant-system " in entry.cmd for entry in entries)
    workers = [entry for entry in entries if "--mode=kitchen-worker" in entry.cmd]
    staffed = [re.findall(r"--station=(\w+)", entry.cmd) for entry in workers]
    assert [each for found in staffed for each in found] == list(STATION_NAMES)
    assert len(workers) <= 10, "more than may be at work"


def test_the_name_in_the_specification_is_the_program():
    for name in ("restaurant-system", "scripts/restaurant-system"):
        found = subprocess.run([ROOT / name, "--mode=x"], capture_output=True, text=True)
        assert found.returncode == 2
        assert found.stderr.startswith("restaurant-system: --mode (MODE) must be one of")


def test_no_registry_is_named():
    hosts = re.compile(r"pypi\.org|pythonhosted|deb\.debian|archive\.ubuntu|registry\.npm")
    own = [*(ROOT / "scripts").rglob("*"), *ROOT.glob("*.*"), ROOT / ".ci" / "run"]
    files = [path for path in own if path.is_file() and path.suffix != ".pyc"]
    assert not [path for path in files if hosts.search(path.read_text(errors="replace"))]
