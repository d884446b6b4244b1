"""The notice board between processes."""

import multiprocessing
import time

from pizza.web.server.shared_state import Board


def read_into(board, connection):
    connection.send(board.read())


def test_nothing_on_the_board_means_unknown():
    assert Board.create().read() == "unknown"


def test_what_is_written_can_be_read():
    board = Board.create()
    board.write("leading")
    assert board.read() == "leading"
    board.write("x" * 200)
    assert board.read() == "x" * 63


def test_an_old_notice_means_unknown(monkeypatch):
    board = Board.create()
    board.write("leading")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    assert board.read() == "unknown"


def test_a_spawned_process_reads_what_its_parent_wrote():
    board = Board.create()
    board.write("leading, broker away")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=read_into, args=(board, theirs))
    process.start()
    while not ours.poll(0.1):  # a busy machine starts it after the notice has become old
        board.write("leading, broker away")
    assert ours.recv() == "leading, broker away"
    process.join()
