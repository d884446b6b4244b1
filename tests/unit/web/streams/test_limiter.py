"""The limits of open streams for a client, a network and all together."""

import pytest

from pizza.web.http.problems import Problem
from pizza.web.streams.limiter import StreamLimiter


def opened(limiter, *clients):
    """Of these clients, those whose stream is opened."""
    found = []
    for client in clients:
        try:
            limiter.acquire(client)
        except Problem as problem:
            assert problem.status == 503
            assert dict(problem.headers)["Retry-After"]
        else:
            found.append(client)
    return found


def hosts(network, count):
    return [f"203.0.{network}.{host}" for host in range(count)]


def test_a_client_has_a_tenth():
    limiter = StreamLimiter(40)
    assert len(opened(limiter, *["203.0.113.7"] * 10)) == 4
    assert opened(limiter, "203.0.114.7", None)


@pytest.mark.parametrize("clients", [hosts(113, 30), [f"2001:db8:1:{n:x}::/64" for n in range(30)]])
def test_the_clients_of_a_network_have_a_quarter(clients):
    limiter = StreamLimiter(40)
    assert opened(limiter, *clients) == clients[:10]
    assert opened(limiter, "198.51.100.1", "2001:db8:2::/64", None)
    limiter.release(clients[0])
    assert opened(limiter, *clients[20:]) == clients[20:21]


def test_a_tenth_is_left_to_staff():
    limiter = StreamLimiter(41)
    strangers = [f"203.{n}.113.7" for n in range(60)]
    assert opened(limiter, *strangers) == strangers[:36]
    assert len(opened(limiter, *[None] * 9)) == 5
    for client in strangers[:36]:
        limiter.release(client)
    assert opened(limiter, *strangers) == strangers[:36]


@pytest.mark.parametrize(("limit", "client"), [(0, 0), (1, 1), (2, 1), (12, 1)])
def test_a_small_number_leaves_a_client_one_stream(limit, client):
    assert len(opened(StreamLimiter(limit), *["203.0.113.7"] * 3)) == client


def test_a_refusal_wakes_the_thread_that_frees_lost_places():
    wakes = []
    limiter = StreamLimiter(1, lambda: wakes.append(True))
    opened(limiter, None, None, None)
    assert wakes == [True, True]
