"""The limit of concurrent requests, and slow clients that delay no others."""

import threading
import time

import pytest

from pizza.web.server.concurrency import ConcurrencyLimiter

WAIT_S = 10.0


class Client:
    """Sends its body on request."""

    def __init__(self, *, sent=True):
        self.sends = threading.Event()
        if sent:
            self.sends.set()

    def read(self, size=-1):
        assert self.sends.wait(WAIT_S)
        return b"body"


class Kitchen:
    """An application that counts concurrent requests."""

    def __init__(self, count):
        self._lock = threading.Lock()
        self.now = self.most = self.done = 0
        self.works = 0.0
        self.serve = ConcurrencyLimiter(count).wrap(self._answer)

    def _answer(self, environ, start_response):
        body = environ["wsgi.input"].read(4)
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.works)
        with self._lock:
            self.now -= 1
            self.done += 1
        return [body]

    def begin(self, client):
        thread = threading.Thread(target=self.serve, args=({"wsgi.input": client}, None))
        thread.start()
        return thread


def finish(*threads):
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_no_more_than_so_many_are_at_work_at_a_time():
    kitchen = Kitchen(2)
    kitchen.works = 0.02
    finish(*[kitchen.begin(Client()) for _ in range(20)])
    assert (kitchen.done, kitchen.most) == (20, 2)


def test_requests_that_wait_for_their_clients_let_others_pass():
    kitchen = Kitchen(2)
    slow = [Client(sent=False) for _ in range(6)]
    waiting = [kitchen.begin(client) for client in slow]
    finish(*[kitchen.begin(Client()) for _ in range(4)])
    assert kitchen.done == 4
    for client in slow:
        client.sends.set()
    finish(*waiting)
    assert kitchen.done == 10
    assert kitchen.most <= 2, "and queue again when the body is there"


def test_a_slot_is_released_whatever_happens():
    limiter = ConcurrencyLimiter(1)

    def fails(environ, start_response):
        environ["wsgi.input"].read()

    class Broken:
        def read(self, size=-1):
            raise OSError

    for _ in range(3):
        with pytest.raises(OSError):
            limiter.wrap(fails)({"wsgi.input": Broken()}, None)
    limiter.acquire()
