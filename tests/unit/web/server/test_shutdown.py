"""A worker that shuts down answers requests in progress and accepts no more."""

import threading
import time

from pizza.web.server.shutdown import Drain


class Answer:
    status = ""

    def __call__(self, status, headers):
        self.status = status
        self.headers = dict(headers)


def test_an_open_drain_lets_requests_pass():
    answer = Answer()

    def app(environ, start_response):
        start_response("201 Created", [])
        return [b"done"]

    assert Drain().wrap(app)({}, answer) == [b"done"]
    assert answer.status == "201 Created"


def test_closing_waits_for_what_was_begun():
    drain, begun, go = Drain(), threading.Event(), threading.Event()
    order = []

    def app(environ, start_response):
        begun.set()
        go.wait(5)
        order.append("answered")
        return []

    def close():
        drain.close()
        order.append("closed")

    request = threading.Thread(target=drain.wrap(app), args=({}, Answer()))
    request.start()
    begun.wait(5)
    closing = threading.Thread(target=close)
    closing.start()
    time.sleep(0.3)
    go.set()
    request.join()
    closing.join()
    assert order == ["answered", "closed"]


def test_after_closing_a_request_is_refused_and_not_begun():
    drain, answer = Drain(), Answer()
    drain.close()
    (body,) = drain.wrap(lambda *_: 1 / 0)({}, answer)
    assert answer.status == "503 Service Unavailable"
    assert answer.headers["Retry-After"] == "1"
    assert b"restarting" in body


def test_closing_ends_even_when_a_request_does_not(monkeypatch):
    monkeypatch.setattr("pizza.web.server.shutdown.DRAIN_TIMEOUT_SECONDS", 0.2)
    drain, begun, go = Drain(), threading.Event(), threading.Event()

    def app(environ, start_response):
        begun.set()
        go.wait(10)
        return []

    request = threading.Thread(target=drain.wrap(app), args=({}, Answer()))
    request.start()
    begun.wait(5)
    drain.close()
    go.set()
    request.join()
