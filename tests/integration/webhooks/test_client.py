"""A POST to the address of another program: limited in time, only to the checked address."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from pizza.domain.webhooks import parse_url
from pizza.webhooks import client
from pizza.webhooks.client import (
    BlockedAddress,
    DeliveryError,
    TargetResponse,
    parse_retry_after,
    send_post,
)

from ...support.waiting import TIMEOUT_FACTOR, wait_until
from ...support.webhook_receiver import WebhookReceiver

NAME = "hooks.example"
LONG = 30.0


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()
    yield found
    found.close()


@pytest.fixture
def resolved_addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What each look-up of a name answers, one after the other; the last one for good."""
    known: dict[str, list[list[str]]] = {}
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *more: Any, **words: Any) -> Any:
        if host not in known:
            return system(host, port, *more, **words)
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def call(url: str, *, private: bool = True, seconds: float = LONG, **more: Any) -> TargetResponse:
    return send_post(
        parse_url(url), b"{}", {"X-One": "1"}, allow_private=private, seconds=seconds, **more
    )


def test_a_call_posts_to_the_address_with_the_host_name(
    receiver: WebhookReceiver, resolved_addresses: Any
) -> None:
    resolved_addresses[NAME] = [["127.0.0.1"]]
    assert call(receiver.url("/a?b=c", NAME)) == TargetResponse(204)
    (heard,) = receiver.received
    assert (heard.path, heard.body, heard.headers["x-one"]) == ("/a?b=c", b"{}", "1")
    assert heard.headers["host"] == f"{NAME}:{receiver.port}"


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: WebhookReceiver) -> None:
    receiver.answers = [(302, {"Location": receiver.url("/elsewhere")}, "moved")]
    assert call(receiver.url()) == TargetResponse(302, text="moved")
    assert len(receiver.received) == 1


def test_of_a_failure_the_beginning_of_the_answer_is_kept(receiver: WebhookReceiver) -> None:
    receiver.answers = [(500, {}, "no\ndough " + "x" * 5000)]
    text = call(receiver.url()).text
    assert text.startswith("no dough xxx") and len(text) <= 1024


@pytest.mark.parametrize("private_address", ["127.0.0.1", "10.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_to_a_private_address_is_not_called(
    receiver: WebhookReceiver, resolved_addresses: Any, private_address: str
) -> None:
    # One of several is enough
    resolved_addresses[NAME] = [["93.184.216.34", private_address]]
    with pytest.raises(BlockedAddress, match=private_address):
        call(receiver.url(host=NAME), private=False)
    assert not receiver.received


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0.0.0.0"])
def test_private_addresses_are_refused_in_every_form(receiver: WebhookReceiver, host: str) -> None:
    with pytest.raises(DeliveryError, match=r"not a public address|cannot be looked up"):
        call(receiver.url(host=host), private=False)
    assert not receiver.received


def test_it_connects_to_the_checked_address_and_not_to_a_later_answer_of_the_name(
    receiver: WebhookReceiver, resolved_addresses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a name that is public when it is checked, and this machine at the next look-up
    resolved_addresses[NAME] = [["192.0.2.1"], ["127.0.0.1"]]
    judged: list[str] = []
    monkeypatch.setattr(client, "is_public", lambda address: not judged.append(address))
    monkeypatch.setattr(client, "_CONNECT_S", 0.2)
    with pytest.raises(DeliveryError):
        call(receiver.url(host=NAME), private=False)
    assert judged == ["192.0.2.1"]
    assert resolved_addresses[NAME] == [["127.0.0.1"]]  # it was asked once
    assert not receiver.received


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_each_phase_of_a_call_has_a_time_limit(receiver: WebhookReceiver, how: str) -> None:
    receiver.always = getattr(receiver, how)
    began = time.monotonic()
    with pytest.raises(DeliveryError, match=r"no answer within 0\.6 s") as caught:
        call(receiver.url(), seconds=0.6)
    assert caught.value.timed_out
    assert time.monotonic() - began < 0.6 + 2 * TIMEOUT_FACTOR
    gone = lambda: not any(t.name == "webhook call" for t in threading.enumerate())  # noqa: E731
    wait_until(gone, 10, "its thread has ended")


def test_a_hanging_name_look_up_delays_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: over.wait(60) and [])
    try:
        with pytest.raises(DeliveryError) as caught:
            call(f"http://{NAME}/", seconds=0.3)
        assert caught.value.timed_out
        with pytest.raises(DeliveryError) as caught:
            client.resolve(NAME, 80, 0.2)
        assert caught.value.timed_out
    finally:
        over.set()


def test_a_shutdown_aborts_the_call(receiver: WebhookReceiver) -> None:
    receiver.always = receiver.hang

    def stop() -> None:
        if receiver.received:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        call(receiver.url(), check=stop)


def test_a_receiver_that_cannot_be_reached_is_a_failure_with_its_reason(
    receiver: WebhookReceiver,
) -> None:
    receiver.close()
    with pytest.raises(DeliveryError, match="refused") as caught:
        call(receiver.url())
    assert not caught.value.timed_out


def test_bytes_that_are_no_answer_have_failed(receiver: WebhookReceiver) -> None:
    receiver.answers = [lambda handler: handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")]
    with pytest.raises(DeliveryError):
        call(receiver.url())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key, and a certificate for NAME that only itself vouches for."""
    both = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    return both


def test_tls_is_verified_for_the_name(
    certificate: Path, resolved_addresses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved_addresses[NAME] = resolved_addresses["other.example"] = [["127.0.0.1"]]
    receiver = WebhookReceiver(certificate)
    try:
        with pytest.raises(DeliveryError, match=r"(?i)certificate"):
            call(receiver.url(host=NAME))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("cert.pem")))
        with pytest.raises(DeliveryError, match=r"(?i)certificate|match"):
            call(receiver.url(host="other.example"))
        assert call(receiver.url(host=NAME)) == TargetResponse(204)
    finally:
        receiver.close()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("1.5", None),
    ],
)
def test_a_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds


def test_a_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < (parse_retry_after(later) or 0) <= 3600
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
