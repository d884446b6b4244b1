"""Slow bodies: which are refused, which reads are ended, and on which connection."""

import socket
import time
from dataclasses import dataclass, field

import pytest

from pizza.auth.authenticator import Principal
from pizza.web.http.problems import Problem
from pizza.web.server import slow_clients, sockets
from pizza.web.server.slow_clients import (
    BODY_SECONDS,
    WAITING_IN_ALL,
    WAITING_PER_CLIENT,
    SlowClients,
)
from pizza.web.server.sockets import accepted

from ....support.waiting import wait_until

ADDRESS = "203.0.113.7"


@dataclass
class Link:
    """A connection that says whether it was ended."""

    answered: float = 20.0
    is_pending: bool = True
    is_silent: bool = False
    address: str = ADDRESS
    ended: list = field(default_factory=list)

    def shut_down(self, how=socket.SHUT_RD):
        self.ended.append(how)


def environ(address=ADDRESS, **more):
    return {"REMOTE_ADDR": address, **more}


def begun(slow, count, age, address=ADDRESS):
    """Bodies of an address that have been waiting for so many seconds."""
    found = []
    for _ in range(count):
        found.append(slow.start_read(environ(address)))
        found[-1].since -= age
    return found


def is_refused(slow, **of):
    try:
        slow.start_read(environ(**of))
    except Problem as problem:
        assert problem.status == 429
        assert ("Connection", "close") in problem.headers
        return True
    return False


def is_late(slow, read):
    try:
        slow.finish_read(read)
    except Problem as problem:
        assert (problem.status, problem.headers) == (408, (("Connection", "close"),))
        return True
    return False


def test_a_client_may_have_so_many_bodies_that_wait():
    slow = SlowClients()
    begun(slow, 100, 0.0)  # on their way
    waiting = begun(slow, WAITING_PER_CLIENT, 1.0)

    assert is_refused(slow)
    assert not is_refused(slow, address="203.0.113.8")
    assert not is_refused(slow, address="127.0.0.1")
    # Staff at the same address, as it was looked up before.
    assert not is_refused(slow, **{"pizza.looked_up": ("a key", Principal("staff", key_id="1"))})
    slow.finish_read(waiting[0])
    assert not is_refused(slow)


def test_a_body_has_a_deadline_and_the_connection_that_waits_longest_is_ended():
    links = [Link(15.0, is_pending=False), Link(2.0), Link(10.2), Link(30.0, address="::1"),
             Link(11.0, is_silent=True, is_pending=False)]  # fmt: skip
    slow = SlowClients(list_connections=lambda: links)
    fresh, late = begun(slow, 1, 1.0) + begun(slow, 1, BODY_SECONDS + 0.1)

    slow.enforce_limits()

    assert [each.ended for each in links] == [[], [], [socket.SHUT_RD], [], []]
    assert is_late(slow, late)
    assert not is_late(slow, fresh)


def test_nothing_is_looked_at_while_all_come_in_time():
    slow = SlowClients(list_connections=lambda: pytest.fail("looked"))
    begun(slow, WAITING_PER_CLIENT, BODY_SECONDS - 1)
    slow.enforce_limits()


def test_a_body_that_came_with_a_request_before_is_found_by_the_time_of_its_answer():
    stream, hidden = Link(3.0, is_pending=False), Link(BODY_SECONDS + 3.6, is_pending=False)
    slow = SlowClients(list_connections=lambda: [stream, hidden])
    begun(slow, 1, BODY_SECONDS + 3.5)
    slow.enforce_limits()
    assert (stream.ended, hidden.ended) == ([], [socket.SHUT_RD])


def test_an_address_that_hides_it_altogether_loses_its_connections_unless_it_is_a_proxy():
    for address, ended in ((ADDRESS, [socket.SHUT_RD]), ("127.0.0.1", [])):
        link = Link(1.0, is_pending=False, address=address)
        slow = SlowClients(list_connections=lambda link=link: [link])
        begun(slow, 1, BODY_SECONDS + 3.5, address)
        slow.enforce_limits()
        assert link.ended == ended


def test_of_too_many_bodies_in_all_the_client_with_the_most_loses_its_oldest():
    addresses = [f"203.0.{n}.7" for n in range(20)]
    slow = SlowClients()
    for address in addresses[1:]:
        begun(slow, 3, 1.0, address)
    most = begun(slow, 10, 5.0, addresses[0])

    excess = slow._over_limit()

    assert len(excess) == 19 * 3 + 10 - WAITING_IN_ALL
    assert set(excess) <= set(most)


def test_of_a_crowd_of_connections_of_one_address_the_silent_ones_beyond_its_share_go(monkeypatch):
    monkeypatch.setattr(slow_clients, "CONNECTIONS_PER_ADDRESS", 3)
    monkeypatch.setattr(sockets, "open_descriptors", lambda: range(10_000))
    at = lambda address: [Link(float(n), False, n != 2, address) for n in range(5)]  # noqa: E731
    far, near = at(ADDRESS), at("127.0.0.1")
    SlowClients(list_connections=lambda: [*far, *near]).enforce_limits()
    assert [bool(each.ended) for each in far] == [False, False, False, True, True]
    assert not any(each.ended for each in near)


# --- real connections ----------------------------------------------------------------------------


def test_an_accepted_connection_is_found_by_its_traffic():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as link,
    ):
        seen = lambda: next(e for e in accepted() if e.peer == client.getsockname())  # noqa: E731
        assert {each.peer for each in accepted()} == {client.getsockname()}  # not our own end
        assert seen().is_silent and not seen().is_pending

        client.sendall(b"half")
        assert link.recv(4) == b"half"
        assert seen().is_pending and not seen().is_silent

        def is_answered():
            """The kernel's clock for this has ticks of some milliseconds."""
            link.sendall(b".")
            return not seen().is_pending

        wait_until(is_answered, 5, "what was sent last is an answer")
        assert seen().answered < 5

        found = seen()
        found.shut_down()
        assert link.recv(4) == b""  # the end of the stream, and an answer can still be sent
        link.sendall(b"answer")
        link.close()
        assert b"".join(iter(lambda: client.recv(100), b"")).endswith(b"answer")


def test_a_descriptor_that_is_another_connection_by_now_is_left_alone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = socket.create_connection(server.getsockname())
        link = server.accept()[0]
        (found,) = accepted()
        first.close()
        link.close()
        with socket.create_connection(server.getsockname()), server.accept()[0] as other:
            found.shut_down(socket.SHUT_RDWR)
            other.sendall(b"still open")
    found.shut_down()


def test_a_read_beyond_the_time_limit_of_a_body_is_late():
    slow = SlowClients()
    reading = slow.start_read(environ())
    reading.since = time.monotonic() - BODY_SECONDS - 1
    assert is_late(slow, reading)
