"""The shared state of the HTTP workers."""

import multiprocessing
import time

from pizza.web.server.shared_state import SharedState


def read_into(state, connection):
    connection.send(state.read())


def test_nothing_on_the_board_means_unknown():
    assert SharedState().read() == "unknown"


def test_a_written_state_can_be_read():
    state = SharedState()
    state.write("leading")
    assert state.read() == "leading"
    state.write("x" * 200)
    assert state.read() == "x" * 63


def test_an_old_notice_means_unknown(monkeypatch):
    state = SharedState()
    state.write("leading")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    assert state.read() == "unknown"


def test_a_spawned_process_reads_what_its_parent_wrote():
    state = SharedState()
    state.write("leading, broker away")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=read_into, args=(state, theirs))
    process.start()
    while not ours.poll(0.1):  # a busy machine starts it after the notice has become old
        state.write("leading, broker away")
    assert ours.recv() == "leading, broker away"
    process.join()
