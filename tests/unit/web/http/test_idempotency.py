"""The header Idempotency-Key."""

import hashlib
import json

import pytest

from pizza.domain.errors import IdempotencyConflict, IdempotencyKeyReused
from pizza.web.http.idempotency import read_idempotency_key
from pizza.web.http.problems import Problem

ORDER = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 1, "price": 13}]}


def post(client, key="a key"):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/orders", data=json.dumps(ORDER), headers=headers)


def test_without_the_header_there_is_no_key():
    assert read_idempotency_key({}, b"body") is None


@pytest.mark.parametrize("key", ["a", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a b~"])
def test_printable_text_is_a_key_unchanged(key):
    found = read_idempotency_key({"HTTP_IDEMPOTENCY_KEY": key}, b"body")

    assert found is not None
    assert found.key == key
    assert found.digest == hashlib.sha256(b"body").digest()


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "caf\xe9", "line\n"])
def test_anything_else_is_refused_by_the_name_of_the_header(key):
    with pytest.raises(Problem) as refusal:
        read_idempotency_key({"HTTP_IDEMPOTENCY_KEY": key}, b"body")

    assert refusal.value.status == 400
    assert [error.field for error in refusal.value.errors] == ["Idempotency-Key"]
    assert "Idempotency-Key" in refusal.value.detail


def test_the_service_is_handed_the_key_of_a_request(client, restaurant):
    assert post(client).status_code == 201
    assert post(client, None).status_code == 201

    keys = [options["key"] for _, options in restaurant.placed]
    assert keys[0].key == "a key"
    assert keys[0].digest == hashlib.sha256(json.dumps(ORDER).encode()).digest()
    assert keys[1] is None


def test_a_first_answer_does_not_say_that_it_is_a_repetition(client):
    assert "Idempotent-Replayed" not in post(client).headers


def test_a_key_that_came_with_another_body_is_422(client, restaurant):
    restaurant.failure = IdempotencyKeyReused()

    answer = post(client)

    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert [error["field"] for error in answer.json["errors"]] == ["Idempotency-Key"]


def test_a_key_in_flight_is_409_with_a_time_to_wait(client, restaurant):
    restaurant.failure = IdempotencyConflict()

    answer = post(client)

    assert answer.status_code == 409
    assert answer.content_type == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_api_documents_header_and_answers(client):
    placing = client.get("/openapi.json").json["paths"]["/orders"]["post"]

    (header,) = [each for each in placing["parameters"] if each["name"] == "Idempotency-Key"]
    assert header["in"] == "header"
    assert not header.get("required")
    assert header["schema"]["pattern"].startswith("^[!-~]")
    assert "Idempotent-Replayed" in placing["responses"]["201"]["headers"]
    assert "Retry-After" in placing["responses"]["409"]["headers"]
    assert "422" in placing["responses"]
