"""The order service as processes: started, killed, without its servers, stopped."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from devservices.proc import is_alive

from ..support.api_service import Service
from ..support.restaurant import eventually
from ..support.waiting import TIMEOUT_FACTOR, Stopwatch

ORDER = {"customer_name": "Jo", "items": [{"name": "Pizza", "quantity": 1, "price": 13}]}
STOP_S = 4.0
SOON_S = 8.0


@pytest.fixture
def start(db_url, servers, tmp_path):
    """Starts order services on a database of the test's own; all end with the test."""
    started = []

    def start(*flags, db=db_url, broker=servers.rabbitmq.url, wait=True):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        service = Service(folder, db, broker, *flags)
        started.append(service)
        if wait:
            service.program.wait_for("service_started")
        return service

    yield start
    for service in started:
        service.program.terminate()
    for service in started:
        service.program.process.finish(TIMEOUT_FACTOR * STOP_S)
        service.program.check_output()


def family(service):
    """The ids of the main process and of its HTTP workers."""
    table = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    rows = [line.split(maxsplit=2) for line in table.stdout.splitlines()]
    flag = f"--port={service.port}"
    ours = {pid: parent for pid, parent, args in rows if flag in args and "reaper.py" not in args}
    # A child that is just being made has its parent's arguments for a moment.
    (main,) = [pid for pid, parent in ours.items() if parent not in ours]
    below = [pid for pid, parent, args in rows if parent == main and "spawn_main" in args]
    return int(main), sorted(map(int, below))


def answers(service):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return service.request("GET", "/healthz").status == 200
    return False


def place(service):
    """Place an order: its status and how long that took, or the error of the connection."""
    started = time.monotonic()
    try:
        reply = service.order(ORDER)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, time.monotonic() - started
    if reply.status != 201:
        reply.problem()
        assert int(reply.headers["Retry-After"]) > 0
    return reply.status, time.monotonic() - started


def place_many(service, count, *, within=None):
    """Place orders at the same time: how often each status came; within: seconds for each."""
    watch = Stopwatch()
    with ThreadPoolExecutor(count) as crowd:
        results = list(crowd.map(lambda _: place(service), range(count)))
    if within is not None:
        watch.assert_within(within, max(seconds for _, seconds in results))
    return Counter(status for status, _ in results)


def test_a_shutdown_is_quick_despite_clients_that_stay_connected(start):
    service = start()
    with socket.create_connection(("127.0.0.1", service.port)) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in idle.recv(4096)
        asked = Stopwatch()
        assert service.program.stop(STOP_S) == 0
        asked.assert_within(STOP_S)
    assert service.program.said("service_stopped")
    assert not answers(service)


def test_requests_in_progress_at_a_shutdown_are_answered(start):
    service = start("--max-concurrent=0")
    placed = []
    stopping = threading.Event()

    def order_until_stopped():
        while not stopping.is_set():
            status, _ = place(service)
            placed.append(status)

    threads = [threading.Thread(target=order_until_stopped) for _ in range(8)]
    for each in threads:
        each.start()
    eventually(lambda: len(placed) > 50, 10, "orders are placed")
    service.program.terminate()
    assert service.program.exit_code(STOP_S) == 0
    stopping.set()
    for each in threads:
        each.join()
    assert placed.count(201) == service.stored()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_is_a_clean_stop_too(start, number):
    service = start()
    os.killpg(os.getpgid(family(service)[0]), number)
    assert service.program.exit_code(STOP_S) == 0
    assert [line for line in service.program.lines if line["level"] == "ERROR"] == []


def test_a_shutdown_while_the_database_hangs_ends_in_time_and_answers_waiting_requests(
    start, postgres
):
    """While a body never ends, and with a second signal of another kind."""
    service = start("--max-concurrent=0")
    half = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", service.port)) as slow:
        slow.sendall(half)
        postgres.pause()
        try:
            with ThreadPoolExecutor(4) as crowd:
                waiting = [crowd.submit(place, service) for _ in range(4)]
                eventually(lambda: all(each.running() for each in waiting), 5, "they wait")
                time.sleep(0.3)  # until their requests have come in; if not, they are refused
                service.program.terminate()
                service.program.process.send(signal.SIGINT)
                assert service.program.exit_code(20) == 0
                heard = {each.result()[0] for each in waiting}
        finally:
            postgres.resume()
    assert heard <= {503, "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
    assert 503 in heard
    assert service.stored()[0] == 0


def test_a_killed_http_worker_is_started_again_each_time(start):
    service = start()
    for _ in range(3):
        before = family(service)[1]
        os.kill(before[0], signal.SIGKILL)
        eventually(
            lambda old=before: len(set(family(service)[1]) | set(old)) > len(old), 10, "back"
        )
        eventually(lambda: answers(service), 5, "the service answers")
    service.program.wait_for("worker_respawned", count=3)
    assert place(service)[0] == 201


def test_nothing_serves_on_after_the_main_process_was_killed(start):
    service = start()
    main, below = family(service)
    assert len(below) == 2
    os.kill(main, signal.SIGKILL)
    eventually(lambda: not answers(service), STOP_S, "the service is gone")
    eventually(lambda: not any(map(is_alive, below)), STOP_S, "nothing is left")


def test_a_port_in_use_is_one_line_and_exit_1(start):
    first = start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], first.port):
            second = start(f"--port={port}", wait=False)
            assert second.program.exit_code(10) == 1
            (line,) = second.program.lines
            assert line["level"] == "ERROR"
            assert str(port) in line["message"]


def test_exactly_as_many_orders_are_accepted_as_the_limit_allows(start):
    service = start("--max-concurrent=7")
    eventually(lambda: service.request("GET", "/readyz").status == 200, 5, "ready")
    assert place_many(service, 40) == {201: 7, 503: 33}
    assert service.stored()[0] == 7
    full = service.order(ORDER)
    assert "7 orders" in full.problem()["detail"]


def test_while_the_database_hangs_requests_are_503_within_two_seconds(start, postgres):
    service = start("--max-concurrent=0")
    assert place_many(service, 20) == {201: 20}
    postgres.pause()
    try:
        for count in (40, 1, 20):
            assert place_many(service, count, within=2.0) == {503: count}
        for path in ("/workers/status", "/orders/ORD_20241216_001/status"):
            assert service.request("GET", path).status == 503
        assert service.request("GET", "/readyz").json["checks"]["database"] == "unavailable"
        assert service.request("GET", "/healthz").status == 200
    finally:
        postgres.resume()
    eventually(lambda: place(service)[0] == 201, 5, "orders are taken again")
    eventually(lambda: place_many(service, 10) == {201: 10}, 5, "by every worker")
    # What a hung server found in its mail when it thawed was too late to be placed.
    placed = service.stored()[0]
    time.sleep(0.5)
    assert service.stored()[0] == placed


def test_clients_that_stop_within_a_body_delay_no_others(start):
    service = start("--max-concurrent=0")
    half = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            slow = socket.create_connection(("127.0.0.1", service.port))
            stack.enter_context(slow)
            slow.sendall(half)
        assert place_many(service, 20, within=SOON_S) == {201: 20}
    assert place(service)[0] == 201
    assert service.stored()[0] == 21


def test_without_a_database_the_service_starts_and_waits_for_it(start, postgres):
    service = start()
    postgres.stop()
    try:
        away = start()
        assert place(away)[0] == 503
        assert place_many(service, 20, within=2.0) == {503: 20}
    finally:
        postgres.start()
    eventually(lambda: place(away)[0] == 201, 15, "orders are taken")
    eventually(lambda: place(service)[0] == 201, 15, "orders are taken again")


def test_a_database_without_tables_is_503_with_the_remedy(start, postgres):
    empty = postgres.create_database("api_empty")
    service = start(db=empty)
    assert place(service)[0] == 503
    assert any("--setup-db" in line["message"] for line in service.program.lines)
    service.program.stop()
    postgres.drop_database("api_empty")


def test_without_a_broker_orders_are_accepted_as_fast_as_with_it(start):
    service = start("--max-concurrent=0", broker="127.0.0.1:1")
    assert place_many(service, 20, within=2.0) == {201: 20}
    ready = service.request("GET", "/readyz")
    assert (ready.status, ready.json["status"]) == (200, "degraded")


def test_with_a_hung_broker_orders_are_accepted_and_the_shutdown_is_quick(start, rabbitmq):
    service = start("--max-concurrent=0")
    rabbitmq.pause()
    try:
        assert place_many(service, 20, within=2.0) == {201: 20}
        asked = Stopwatch()
        assert service.program.stop(STOP_S) == 0
        asked.assert_within(STOP_S)
    finally:
        rabbitmq.resume()


def test_at_debug_every_line_is_json_too(start):
    service = start("--log-level=DEBUG")
    place(service)
    service.order(b"{")
    service.program.stop()
    messages = [line["message"] for line in service.program.lines]
    assert any("POST /orders: 201" in message for message in messages)
    assert any("POST /orders: 400" in message for message in messages)


def test_the_log_can_go_to_a_file(start, tmp_path):
    path = tmp_path / "service.log"
    service = start(f"--log-file={path}", wait=False)
    eventually(lambda: path.exists() and "Service started" in path.read_text(), 10, "it started")
    place(service)
    eventually(lambda: "order_received" in path.read_text(), 5, "the order is logged")
    service.program.stop()
    assert service.program.lines == []
