"""Every name that can be stored can be addressed, directly and through a real nginx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from ..support.api_service import Service, module_service
from ..support.restaurant import Client, Restaurant, eventually
from ..support.web_proxies import nginx_sites

# Below a path nginx decodes addresses and merges slashes.
PLAIN = "location / {{ proxy_pass http://127.0.0.1:{service}; }}"
BELOW = "location /pizza/ {{ proxy_pass http://127.0.0.1:{service}/; }}"
IN_ANY_PATH = [
    "Fish/Chips", "AC/DC", "a/b/c", "x/sold-out/y", "vip/x", "sold-outs",
    "%", "100 %2F", "?", "a?b=c", "#", ";", "a;b=c", "a&b=c+d", "+", " lead", "trail ", "\\", "'\"",
    "🍕 4/4", "Crème brûlée", "…", "👩‍🍳",
]  # fmt: skip
UNMERGED = ["a//b", "/x"]
IN_NO_PATH = [
    ".", "..", "../..", "/", "x/", "//", "sold-out", "available", "vip", "x/sold-out", "x/vip",
]  # fmt: skip

service = module_service("--max-concurrent=0", "--web-workers=1")


@dataclass(frozen=True)
class Endpoint:
    """How a client reaches the order service."""

    port: int
    prefix: str = ""
    merges: bool = False

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status of the answer, and its document if it has one."""
        sent = None if body is None else json.dumps(body)
        answer = Client(self.port).request(method, self.prefix + path, sent)
        return answer.status, answer.json if answer.body else None


@pytest.fixture(scope="module")
def endpoints(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Endpoint]]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    with nginx_sites(folder, service.port, [PLAIN, BELOW]) as (plain, below):
        yield {
            "direct": Endpoint(service.port),
            "nginx": Endpoint(plain),
            "nginx below a path": Endpoint(below, "/pizza", merges=True),
        }


@pytest.fixture(params=["direct", "nginx", "nginx below a path"])
def endpoint(request: pytest.FixtureRequest, endpoints: dict[str, Endpoint]) -> Endpoint:
    return endpoints[request.param]


def test_every_name_is_addressed_by_a_parameter(endpoint: Endpoint) -> None:
    for name in [*IN_ANY_PATH, *UNMERGED, *IN_NO_PATH]:
        query = urlencode({"name": name})
        dish = {"name": name, "tag": "special", "price": None, "sold_out": False}
        assert endpoint.ask("POST", "/menu", {"name": name, "tag": "special"}) == (200, dish)
        sold_out = dish | {"sold_out": True}
        assert endpoint.ask("POST", f"/menu/sold-out?{query}") == (200, sold_out), name
        assert endpoint.ask("POST", f"/menu/available?{query}") == (200, dish), name
        assert endpoint.ask("DELETE", f"/menu?{query}") == (204, None), name
        assert endpoint.ask("DELETE", f"/menu?{query}")[0] == 404, name
        status, customer = endpoint.ask("POST", f"/customers/vip?{query}", {"vip": True})
        assert (status, customer["name"], customer["vip"]) == (200, name, True)
        assert endpoint.ask("GET", f"/customers?{query}") == (200, customer), name


def test_a_name_is_addressed_by_a_path_with_its_slashes(endpoint: Endpoint) -> None:
    for name in [*IN_ANY_PATH, *([] if endpoint.merges else UNMERGED)]:
        path = quote(name, safe="")
        dish = {"name": name, "tag": "special", "price": None, "sold_out": False}
        assert endpoint.ask("POST", "/menu", {"name": name, "tag": "special"}) == (200, dish)
        sold_out = dish | {"sold_out": True}
        assert endpoint.ask("POST", f"/menu/{path}/sold-out") == (200, sold_out), name
        assert endpoint.ask("POST", f"/menu/{path}/available/") == (200, dish), name
        assert endpoint.ask("DELETE", f"/menu/{path}") == (204, None), name
        assert endpoint.ask("DELETE", f"/menu/{path}")[0] == 404, name
        status, customer = endpoint.ask("POST", f"/customers/{path}/vip", {"vip": True})
        assert (status, customer["name"], customer["vip"]) == (200, name, True)
        assert endpoint.ask("GET", f"/customers/{path}") == (200, customer), name


def test_a_missing_or_unknown_parameter_is_named(endpoint: Endpoint) -> None:
    status, problem = endpoint.ask("POST", "/menu/sold-out")
    assert (status, problem["errors"]) == (422, [{"field": "name", "message": "is missing"}])
    status, problem = endpoint.ask("GET", "/customers?nam=x")
    assert (status, problem["errors"]) == (422, [{"field": "nam", "message": "is no parameter"}])
    assert endpoint.ask("DELETE", "/menu?name=nothing")[0] == 404


@pytest.mark.parametrize("name", ["a/b", "..", "100 %2F? #;"])
def test_a_worker_of_any_name_cooks_and_is_found(restaurant: Restaurant, name: str) -> None:
    cook = restaurant.start(
        "cook", "--mode=kitchen-worker", f"--worker-name={name}", "--cooking-time=0"
    )
    cook.wait_for("worker_connected")
    number = restaurant.place()
    restaurant.ledger.wait_for("ready", [number], 20)
    query = f"/workers/status?{urlencode({'name': name})}"
    (found,) = restaurant.client.get(query).document
    assert (found["worker_name"], found["status"]) == (name, "online")
    order = restaurant.client.get(f"/orders/{number}").document
    assert order["processed_by"] == name
    assert cook.stop() == 0
    eventually(
        lambda: restaurant.client.get(query).document[0]["status"] == "offline", 10, "it has left"
    )
