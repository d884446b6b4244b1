"""Bad requests are refused with the name of the field, stored nowhere, and harm no other client."""

import gzip
import json

import pytest

from ..support.api_service import module_service

ITEM = {"name": "Pizza", "quantity": 1, "price": 15.99}
ORDER = {"customer_name": "Jo", "items": [ITEM]}
DINE_IN = {**ORDER, "order_type": "dine-in"}
DELIVERY = {**ORDER, "order_type": "delivery"}


def with_item(**change):
    return {**ORDER, "items": [ITEM, {**ITEM, **change}]}


def with_price(digits):
    """An order with a price that Python's json would not write."""
    return json.dumps(with_item(price="?")).replace('"?"', digits).encode()


# name → (body, status, field; None: the body as a whole)
BAD = {
    "no object": ([], 422, ""),
    "null": (None, 422, ""),
    "a string": ("order", 422, ""),
    "a number": (5, 422, ""),
    "nothing in it": ({}, 422, "customer_name"),
    "no name": ({"items": [ITEM]}, 422, "customer_name"),
    "no items": ({"customer_name": "Jo"}, 422, "items"),
    "empty items": ({**ORDER, "items": []}, 422, "items"),
    "items null": ({**ORDER, "items": None}, 422, "items"),
    "items an object": ({**ORDER, "items": ITEM}, 422, "items"),
    "items a string": ({**ORDER, "items": "Pizza"}, 422, "items"),
    "101 items": ({**ORDER, "items": [ITEM] * 101}, 422, "items"),
    "1,200 items": ({**ORDER, "items": [ITEM] * 1200}, 422, "items"),
    "an item null": ({**ORDER, "items": [None]}, 422, "items[0]"),
    "an item a list": ({**ORDER, "items": [[1]]}, 422, "items[0]"),
    "name a number": ({**ORDER, "customer_name": 5}, 422, "customer_name"),
    "name null": ({**ORDER, "customer_name": None}, 422, "customer_name"),
    "name true": ({**ORDER, "customer_name": True}, 422, "customer_name"),
    "name a list": ({**ORDER, "customer_name": ["Jo"]}, 422, "customer_name"),
    "name empty": ({**ORDER, "customer_name": ""}, 422, "customer_name"),
    "name blank": ({**ORDER, "customer_name": " \n\t "}, 422, "customer_name"),
    "name invisible": ({**ORDER, "customer_name": "\u200b\u2060"}, 422, "customer_name"),
    "name of 101": ({**ORDER, "customer_name": "x" * 101}, 422, "customer_name"),
    "NUL in name": ({**ORDER, "customer_name": "a\0b"}, 422, "customer_name"),
    "escape in name": ({**ORDER, "customer_name": "\x1b[2J"}, 422, "customer_name"),
    "return in name": ({**ORDER, "customer_name": "a\rb"}, 422, "customer_name"),
    "override in name": ({**ORDER, "customer_name": "\u202ecba"}, 422, "customer_name"),
    "newline in name": ({**ORDER, "customer_name": "two\nlines"}, 422, "customer_name"),
    "tab in name": ({**ORDER, "customer_name": "a\ttab"}, 422, "customer_name"),
    "line separator in name": ({**ORDER, "customer_name": "a\u2028b"}, 422, "customer_name"),
    "lone surrogate": (b'{"customer_name":"\\ud800","items":[]}', 422, "customer_name"),
    "item name empty": (with_item(name=""), 422, "items[1].name"),
    "item name of 101": (with_item(name="x" * 101), 422, "items[1].name"),
    "NUL in item name": (with_item(name="\0"), 422, "items[1].name"),
    "item name missing": ({**ORDER, "items": [{"quantity": 1, "price": 1}]}, 422, "items[0].name"),
    "quantity 0": (with_item(quantity=0), 422, "items[1].quantity"),
    "quantity -1": (with_item(quantity=-1), 422, "items[1].quantity"),
    "quantity 1001": (with_item(quantity=1001), 422, "items[1].quantity"),
    "quantity 2^63": (with_item(quantity=2**63), 422, "items[1].quantity"),
    "quantity 1.5": (with_item(quantity=1.5), 422, "items[1].quantity"),
    "quantity true": (with_item(quantity=True), 422, "items[1].quantity"),
    "quantity a string": (with_item(quantity="1"), 422, "items[1].quantity"),
    "quantity null": (with_item(quantity=None), 422, "items[1].quantity"),
    "price -0.01": (with_item(price=-0.01), 422, "items[1].price"),
    "price 15.999": (with_item(price=15.999), 422, "items[1].price"),
    "price a million": (with_item(price=1_000_000), 422, "items[1].price"),
    "price a string": (with_item(price="15.99"), 422, "items[1].price"),
    "price true": (with_item(price=True), 422, "items[1].price"),
    "price null": (with_item(price=None), 422, "items[1].price"),
    "price NaN": (with_price("NaN"), 422, "items[1].price"),
    "price Infinity": (with_price("Infinity"), 422, "items[1].price"),
    "price -Infinity": (with_price("-Infinity"), 422, "items[1].price"),
    "price 1e308": (with_price("1e308"), 422, "items[1].price"),
    "price 1e400": (with_price("1e400"), 422, "items[1].price"),
    "price 1e-400": (with_price("1e-400"), 422, "items[1].price"),
    "price with 20 places": (with_price("15.990000000000000000001"), 422, "items[1].price"),
    "price beyond exponents": (with_price("1e99999999999999999999"), 422, "items[1].price"),
    "total too high": (
        {**ORDER, "items": [{**ITEM, "quantity": 1000, "price": 999999.99}]},
        422,
        "items",
    ),
    "table on a takeout": ({**ORDER, "table_number": 5}, 422, "table_number"),
    "address on a takeout": ({**ORDER, "delivery_address": "1 Rd x"}, 422, "delivery_address"),
    "dine-in without table": (DINE_IN, 422, "table_number"),
    "table 0": ({**DINE_IN, "table_number": 0}, 422, "table_number"),
    "table 2^40": ({**DINE_IN, "table_number": 2**40}, 422, "table_number"),
    "table a string": ({**DINE_IN, "table_number": "5"}, 422, "table_number"),
    "table 5.5": ({**DINE_IN, "table_number": 5.5}, 422, "table_number"),
    "table true": ({**DINE_IN, "table_number": True}, 422, "table_number"),
    "delivery without address": (DELIVERY, 422, "delivery_address"),
    "address too short": ({**DELIVERY, "delivery_address": "1 Rd"}, 422, "delivery_address"),
    "address too long": ({**DELIVERY, "delivery_address": "1a" * 101}, 422, "delivery_address"),
    "address without digit": ({**DELIVERY, "delivery_address": "Main St"}, 422, "delivery_address"),
    "address without letter": ({**DELIVERY, "delivery_address": "12345"}, 422, "delivery_address"),
    "NUL in address": ({**DELIVERY, "delivery_address": "1 Main\0St"}, 422, "delivery_address"),
    "newline in address": ({**DELIVERY, "delivery_address": "1 Main\nSt"}, 422, "delivery_address"),
    "unknown order type": ({**ORDER, "order_type": "drive-in"}, 422, "order_type"),
    "order type in capitals": ({**ORDER, "order_type": "TAKEOUT"}, 422, "order_type"),
    "order type a list": ({**ORDER, "order_type": ["takeout"]}, 422, "order_type"),
    "unknown customer type": ({**ORDER, "customer_type": "king"}, 422, "customer_type"),
    "rush a string": ({**ORDER, "rush": "yes"}, 422, "rush"),
    "rush 1": ({**ORDER, "rush": 1}, 422, "rush"),
    "priority 0": ({**ORDER, "priority": 0}, 422, "priority"),
    "priority 11": ({**ORDER, "priority": 11}, 422, "priority"),
    "priority true": ({**ORDER, "priority": True}, 422, "priority"),
    "priority a string": ({**ORDER, "priority": "high"}, 422, "priority"),
    "an unknown field": ({**ORDER, "coupon": "FREE"}, 422, "coupon"),
    "a status of one's own": ({**ORDER, "status": "ready"}, 422, "status"),
    "an id of one's own": ({**ORDER, "id": 1}, 422, "id"),
    "a total of one's own": ({**ORDER, "total_amount": 0.01}, 422, "total_amount"),
    "an unknown field in an item": (with_item(size="L"), 422, "items[1].size"),
    "SQL as a field": ({**ORDER, "x'); drop table orders;--": 1}, 422, "x'); drop table orders;--"),
    "a prototype": ({**ORDER, "__proto__": {}}, 422, "__proto__"),
    "a field without a name": ({**ORDER, "": 1}, 422, ""),
    "no body": (b"", 400, None),
    "blanks": (b"  \n ", 400, None),
    "half an object": (b'{"customer_name": "Jo"', 400, None),
    "single quotes": (b"{'customer_name': 'Jo'}", 400, None),
    "a comma too many": (b'{"customer_name": "Jo",}', 400, None),
    "two objects": (b"{}{}", 400, None),
    "a form": (b"customer_name=Jo&items=Pizza", 400, None),
    "XML": (b"<order/>", 400, None),
    "not UTF-8": (b'{"customer_name": "\xff"}', 400, None),
    "UTF-16": (json.dumps(ORDER).encode("utf-16"), 400, None),
    "a raw NUL": (b'{"customer_name": "\0"}', 400, None),
    "a name twice": (b'{"customer_name": "Jo", "customer_name": "Al"}', 400, None),
    "60,000 brackets": (b"[" * 60_000, 400, None),
    "7,000 braces": (b'{"items":' * 7_000, 400, None),
    "6,000 unknown fields": (json.dumps({f"{n:x}": 0 for n in range(6_000)}).encode(), 422, "0"),
    "10,000 digits": (b'{"priority": ' + b"1" * 10_000 + b"}", 400, None),
    "66 kilobytes": (b" " * 66_000, 413, None),
    "twenty megabytes": (b" " * 20_000_000, 413, None),
}


service = module_service("--max-concurrent=0")


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_by_name_and_stored_nowhere(service, kind):
    body, status, field = BAD[kind]
    before = service.stored()
    answer = service.post_bytes(body) if isinstance(body, bytes) else service.order(body)
    assert answer.status == status, answer.body
    problem = answer.problem()
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]]
        assert all(error["message"] for error in problem["errors"])
    assert service.stored() == before


def test_there_are_enough_kinds_of_bad_input():
    assert len(BAD) >= 60


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/xml"}, 415),
        ({"Content-Type": "text/html"}, 415),
        ({"Content-Type": "image/png"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_another_content_type_than_json_is_415(service, headers, status):
    before = service.stored()
    body = json.dumps(ORDER).encode()
    body = gzip.compress(body) if "Content-Encoding" in headers else body
    answer = service.order(body, headers)
    assert answer.status == status
    answer.problem()
    assert service.stored() == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/orders", 405),
        ("PUT", "/orders", 405),
        ("DELETE", "/orders/ORD_20241216_001/status", 405),
        ("PATCH", "/workers/status", 405),
        ("TRACE", "/healthz", 405),
        ("BREW", "/orders", 405),
        ("POST", "/healthz", 405),
        ("POST", "/kitchen", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/favicon.ico", 404),
        ("PUT", "/orders/", 405),
        ("GET", "/orders/ORD_20990101_001/status", 404),
        ("GET", "/orders/ORD_20990101_001/history", 404),
        ("GET", "/orders/nonsense/status", 404),
        ("GET", "/orders/%00/status", 404),
        ("GET", "/orders/%ff%fe/history", 404),
        ("GET", "/orders/%F0%9F%8D%95/status", 404),
        ("GET", "/orders/..%2f..%2fetc%2fpasswd/status", 404),
        ("GET", "/orders/'%20or%201=1--/status", 404),
        ("GET", f"/orders/{'9' * 10_000}/status", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/static/../pizza/settings.py", 404),
        ("GET", "/nowhere?%ff=%00", 404),
    ],
)
def test_odd_addresses_and_methods_are_problems(service, method, path, status):
    answer = service.request(method, path)
    assert answer.status == status
    answer.problem()
    assert bool(answer.headers["Allow"]) == (status == 405)


END = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET /\xff\xfe" + END,
        b"GET /a\0b" + END,
        b"GET /" + b"a" * 70_000 + END,
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 300 + b"\r\n",
        POST + b"Content-Length: many\r\n\r\n{}",
        POST + b"Content-Length: -1\r\n\r\n{}",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"GET /menu HTTP/1.1\r\n\r\n",
        b"GET /menu HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=[
        "TLS",
        "bytes",
        "NUL",
        "long path",
        "long header",
        "300 headers",
        "length many",
        "length -1",
        "two lengths",
        "bad chunk",
        "no host",
        "two hosts",
        "empty host",
    ],
)
def test_malformed_http_is_a_4xx_and_never_html(service, data):
    before = service.stored()
    answer = service.talk(data)
    assert 400 <= answer.status < 500
    assert b"<" not in answer.body
    assert service.stored() == before


def test_a_chunked_body_is_read_and_measured(service):
    head = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = json.dumps(ORDER).encode()
    halves = [body[:20], body[20:], b""]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves)
    assert service.talk(head + chunks).status == 201
    many = (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 40 + b"0\r\n\r\n"
    service.talk(head + many).problem()


def test_a_body_cut_short_places_nothing(service):
    before = service.stored()
    body = json.dumps(ORDER).encode()
    head = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (
        len(body) + 5
    )
    answer = service.talk(head + body, finish=True)
    assert answer.status == 400
    answer.problem()
    assert service.stored() == before


ODD = {
    "quotes": 'O\'Brien "the cook"',
    "SQL": "Robert'); DROP TABLE orders;--",
    "a format": "%s %d {0} ${jndi:ldap://x} $(id)",
    "HTML": "<script>alert(1)</script>",
    "emoji": "👩‍🍳🍕",
    "right to left": "مريم שלום",
    "Chinese": "李小龍",
    "accents": "Zoë Ångström e\u0301",
    "spaces around": "  Jo  ",
    "backslashes": "C:\\new\\table \\u0000",
    "the longest": "李" * 100,
    "a plane above": "𝕁𝕠" * 50,
    "a log line": '"}{"level":"ERROR","message":"forged"}',
}


@pytest.mark.parametrize("name", ODD.values(), ids=ODD.keys())
def test_odd_but_legal_text_is_stored_and_logged_as_given(service, name):
    document = {"customer_name": name, "items": [{**ITEM, "name": name}]}
    answer = service.order(document)
    assert answer.status == 201, answer.body
    assert answer.json["customer_name"] == name
    (stored,) = service.query(
        "select o.customer_name, i.name from orders o join order_items i on i.order_id = o.id"
        " where o.number = %s",
        answer.json["order_number"],
    )
    assert stored == (name, name)
    (line,) = [
        line
        for line in service.program.lines
        if line.get("order_number") == answer.json["order_number"]
        and line["action"] == "order_received"
    ]
    assert line["details"]["customer_name"] == name


@pytest.mark.parametrize(
    ("price", "total"), [("0", b"0.00"), ("-0.0", b"0.00"), ("1E+1", b"10.00"), ("0.1", b"0.10")]
)
def test_odd_but_legal_prices_are_exact(service, price, total):
    body = b'{"customer_name": "Jo", "items": [{"name": "x", "quantity": 1, "price": %s}]}'
    answer = service.post_bytes(body % price.encode())
    assert b'"total_amount":' + total + b"," in answer.body


def test_after_all_that_the_service_is_well_and_its_log_is_clean(service):
    assert service.order(ORDER).status == 201
    lines = service.program.lines
    assert [line for line in lines if line["level"] == "ERROR"] == []
    assert service.program.stderr == ""
    assert {line["service"] for line in lines} == {"order-service"}
