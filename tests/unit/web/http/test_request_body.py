"""Reading a JSON document from a request body."""

import io
from decimal import Decimal

import pytest

from pizza.web.http.problems import Problem
from pizza.web.http.request_body import MAX_BODY, parse_json, read_json


def read(body=b"{}", content_type="", length=..., **headers):
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": content_type, **headers}
    if length is ...:
        environ["CONTENT_LENGTH"] = str(len(body))
    elif length is not None:
        environ["CONTENT_LENGTH"] = length
    return read_json(environ)


def refusal(*args, **kwargs):
    with pytest.raises(Problem) as problem:
        read(*args, **kwargs)
    return problem.value


@pytest.mark.parametrize(
    "digits", ["15.990000000000000000001", "1e-400", "1e308", "0.1", "-0.0", "1E2"]
)
def test_numbers_with_a_point_or_an_exponent_are_exact(digits):
    value = parse_json(digits.encode())
    assert isinstance(value, Decimal)
    assert value.compare_total(Decimal(digits)) == 0


@pytest.mark.parametrize("digits", ["NaN", "Infinity", "-Infinity", "1e99999999999999999999"])
def test_a_number_that_is_not_finite_is_refused_by_field(digits):
    assert not parse_json(digits.encode()).is_finite()


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/plain; charset=us-ascii",
        "application/octet-stream",
        "application/vnd.api+json",
        "nonsense",
        "\xff/\xfe",
    ],
)
def test_the_body_is_read_as_json_whatever_the_header_says(content_type):
    assert read(b'{"a": 1}', content_type) == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        "text/xml",
        "application/xml",
        "application/soap+xml",
        "text/html",
        "image/png",
        "application/pdf",
        "application/json; charset=utf-16",
        "application/json;charset=latin1",
    ],
)
def test_what_says_that_it_is_no_json_in_utf8_is_415(content_type):
    assert refusal(content_type=content_type).status == 415


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_415_and_says_what_would_be_taken(encoding):
    problem = refusal(HTTP_CONTENT_ENCODING=encoding)
    assert problem.status == 415
    assert ("Accept-Encoding", "identity") in problem.headers


def test_the_encoding_identity_is_no_encoding():
    assert read(HTTP_CONTENT_ENCODING="Identity") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[1 2]",
        b"\xff\xfe{}",
        b'{"a": "\xc3"}',
        b"\x00",
        b'{"a": "\x00"}',
        b"<order/>",
        b"a=1&b=2",
        b"{}{}",
        b"nul",
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": "\\x"}',
        '{"a": 1}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_400_with_a_sentence(body):
    problem = refusal(body)
    assert problem.status == 400
    assert problem.detail.endswith(".")


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 13_000, b"[" * 30_000 + b"]" * 30_000])
def test_a_bomb_of_brackets_is_400(body):
    assert refusal(body).status == 400


def test_a_number_of_ten_thousand_digits_is_400():
    assert refusal(b"1" * 10_000).status == 400


def test_a_name_given_twice_is_400():
    assert "twice" in refusal(b'{"price": 1, "price": 2}').detail


def test_a_byte_order_mark_is_forgiven():
    assert read(b"\xef\xbb\xbf{}") == {}


def test_a_body_may_have_64_kilobytes_and_no_byte_more():
    assert MAX_BODY == 64 * 1024
    assert read(b" " * (MAX_BODY - 2) + b"{}") == {}
    assert refusal(b" " * (MAX_BODY - 1) + b"{}").status == 413


def test_an_announced_size_beyond_the_limit_is_refused_without_reading():
    assert refusal(b"{}", length="20000000").status == 413
    assert refusal(b"{}", length="9" * 5000).status == 413


def test_a_body_without_a_length_is_measured():
    assert read(b'{"a": 1}', length=None) == {"a": 1}
    assert refusal(b" " * (MAX_BODY + 1), length=None).status == 413


def test_a_body_that_was_cut_short_is_400():
    assert refusal(b"{}", length="20").status == 400
