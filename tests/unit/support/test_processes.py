"""A process may end between two reads of /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from devservices.proc import command_of, is_alive
from devservices.reaper import send_signal

from ...support.waiting import wait_until


def test_a_living_process_is_seen_and_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)
    # While it is being started it has none.
    wait_until(lambda: command_of(process.pid).startswith(sys.executable), 5, "its command")
    assert is_alive(process.pid)
    assert send_signal(process.pid, signal.SIGKILL)
    process.communicate()
    assert not is_alive(process.pid)


def test_a_process_that_has_ended_has_no_command_and_is_not_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert (
        command_of(process.pid),
        is_alive(process.pid),
        send_signal(process.pid, signal.SIGKILL),
    ) == ("", False, False)


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert (command_of(process.pid), is_alive(process.pid)) == ("", False)
    process.wait()
