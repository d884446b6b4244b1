"""docs/howto/add-a-field.md: its patches apply, and the patched program has the fields."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

from devservices import Servers
from pizza.processes.setup import setup_queues

from ..support.api_service import Service
from ..support.restaurant import Program

ROOT = Path(__file__).resolve().parents[2]
PATCHES = re.findall(
    r"^```diff\n(.*?)^```$",
    (ROOT / "docs/howto/add-a-field.md").read_text(),
    re.DOTALL | re.MULTILINE,
)
ORDER = {
    "customer_name": "Jane Roe",
    "cutlery": True,
    "items": [
        {"name": "Pizza", "quantity": 1, "price": 18.99, "note": "no onions"},
        {"name": "Lemonade", "quantity": 2, "price": 3.9},
    ],
}


def test_a_field_of_an_item_changes_eight_files_and_one_of_an_order_six() -> None:
    assert [patch.count("diff --git") for patch in PATCHES] == [8, 6]


def test_the_patched_program_stores_shows_and_sends_the_fields(
    servers: Servers, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    for folder in ("pizza", "sql"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    for patch in PATCHES:
        subprocess.run(["git", "apply", "-"], cwd=tree, input=patch, text=True, check=True)
    name = f"field_{uuid4().hex[:12]}"
    db_url = servers.postgres.create_database(name)
    servers.rabbitmq.ctl("add_vhost", name)
    servers.rabbitmq.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    where = {
        "DB_URL": db_url,
        "RABBITMQ": servers.rabbitmq.url.removesuffix("/") + name,
        "PYTHONPATH": str(tree),
    }
    setup_queues(where["RABBITMQ"])
    setup = Program(tmp_path, "setup", ["--setup-db"], where)
    assert setup.exit_code(60) == 0, setup.stderr
    service = Service(tmp_path, db_url, where["RABBITMQ"], PYTHONPATH=str(tree))
    try:
        service.program.wait_for("service_started")
        check_order(service)
        flags = ["--mode=kitchen-worker", "--worker-name=chef_mario", "--cooking-time=0"]
        cook = Program(tmp_path, "cook", flags, where)
        try:
            cook.wait_for("order_completed")
            assert service.query("select status from orders") == [("ready",)]
        finally:
            cook.stop()
    finally:
        service.program.stop()
        servers.postgres.drop_database(name)


def check_order(service: Service) -> None:
    placed = service.order(ORDER)
    assert placed.status == 201, placed.body
    number = placed.json["order_number"]

    stored = service.request("GET", f"/orders/{number}").json
    assert stored["cutlery"] is True
    assert [item["note"] for item in stored["items"]] == ["no onions", None]
    (active,) = service.request("GET", "/kitchen/board").json
    assert [item["note"] for item in active["items"]] == ["no onions", None]
    ((body,),) = service.query("select body from message where task = 'cook_order'")
    message = json.loads(bytes(body))
    assert message["cutlery"] is True
    assert message["items"][0]["note"] == "no onions"
    assert "note" not in message["items"][1]

    refused = service.order({**ORDER, "items": [{**ORDER["items"][0], "note": ""}]})
    assert refused.status == 422
    assert refused.json["errors"][0]["field"] == "items[0].note"
    schemas = service.request("GET", "/openapi.json").json["components"]["schemas"]
    assert "note" in schemas["ItemResponse"]["properties"]
    assert "cutlery" in schemas["WholeResponse"]["properties"]
