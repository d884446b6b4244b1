"""The software bill of materials: valid CycloneDX, of what is installed and was tested."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from packaging.utils import canonicalize_name

from quality import sbom

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/quality/sbom.py", "-"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_it_is_valid_cyclonedx(document: dict[str, Any]) -> None:
    folder = resources.files("cyclonedx.schema").joinpath("_res")
    schemas = {
        name: json.loads(folder.joinpath(f"{name}.SNAPSHOT.schema.json").read_text())
        for name in ("bom-1.6", "spdx", "jsf-0.82")
    }
    # The bill's schema asks for the others by these addresses.
    address = "http://cyclonedx.org/schema/{}.SNAPSHOT.schema.json"
    registry = jsonschema_rs.Registry(
        [(address.format(name), schema) for name, schema in schemas.items() if name != "bom-1.6"]
    )
    validator = jsonschema_rs.validator_for(schemas["bom-1.6"], registry=registry)
    assert [str(error) for error in validator.iter_errors(document)] == []
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")


def test_it_names_what_the_program_needs_at_the_tested_versions(document: dict[str, Any]) -> None:
    pins = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text()))
    listed = {each["name"]: each["version"] for each in document["components"]}
    assert document["metadata"]["component"]["name"] == "pizza"
    for name in ("kombu", "amqp", "psycopg", "psycopg-binary", "granian", "pydantic"):
        assert listed[name] == pins[name]
    assert not {"pytest", "mypy", "celery"} & set(listed)
    locked = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "deploy" / "requirements.txt").read_text())
    assert set(listed) <= {canonicalize_name(name) for name in locked}
    (kombu,) = [each for each in document["dependencies"] if "pypi/kombu@" in each["ref"]]
    assert f"pkg:pypi/amqp@{pins['amqp']}" in kombu["dependsOn"]


def test_other_versions_than_the_tested_ones_are_refused() -> None:
    with pytest.raises(sbom.WrongVersions, match=r"has no such versions: .*kombu"):
        sbom.bill({**sbom.pinned(), "kombu": "1.0"})
