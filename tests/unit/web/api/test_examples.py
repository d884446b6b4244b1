"""Every operation has examples of its request and answer, which match its schema."""

import re
from urllib.parse import urljoin, urlsplit

import jsonschema_rs
import pytest


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def contents(document):
    """(where, media type object) of each request body and each answer that has one."""
    for name, operation in operations(document):
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for part, body in bodies.items():
            for kind, content in body.get("content", {}).items():
                yield f"{name} {part} {kind}", content


def examples(content):
    found = [each["value"] for each in content.get("examples", {}).values()]
    return found + ([content["example"]] if "example" in content else [])


def test_the_description_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")


def test_each_body_and_each_answer_has_an_example(document):
    assert [where for where, content in contents(document) if not examples(content)] == []


def test_each_example_fits_its_schema(document):
    unfit = []
    for where, content in contents(document):
        # The schemas refer to the components of their document.
        schema = {**content["schema"], "components": document["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema)
        unfit += [where for each in examples(content) if not validator.is_valid(each)]
    assert unfit == []


def test_each_answer_that_asks_to_wait_says_how_long(document):
    silent = [
        f"{name} {status}"
        for name, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status in ("429", "503") and "Retry-After" not in answer.get("headers", {})
    ]
    assert silent == []


def test_the_page_for_people_loads_everything_from_here(client):
    page = client.get("/docs/swagger").text
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert wanted
    for each in wanted:
        assert urlsplit(each).netloc == "", each
        assert client.get(urljoin("/docs/swagger", each)).status_code == 200, each
