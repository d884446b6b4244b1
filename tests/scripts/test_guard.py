"""Nothing that is started under guard outis_alive its owner, its guard, or itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devservices import GuardedProcess, ProcessFailed
from devservices.proc import is_alive

from ..support.waiting import Stopwatch, wait_until

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# A command with a child in a session of its own, as servers have them; both ids go to a file.
FAMILY = "setsid sh -c 'echo $$ >> {file}; sleep 60' & echo $$ >> {file}; wait"
OWNER = """
import sys, time
sys.path.insert(0, {scripts!r})
from devservices import GuardedProcess
print(GuardedProcess(["sh", "-c", {command!r}]).guard_pid, flush=True)
time.sleep(60)
"""


def family(file: Path) -> list[int]:
    pids = lambda: file.read_text().split() if file.exists() else []  # noqa: E731
    wait_until(lambda: len(pids()) == 2, 10, "the family starts")
    return [int(pid) for pid in pids()]


def assert_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(is_alive(pid) for pid in pids), 5, "nothing is left running")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_everything_ends_with_the_owner(tmp_path, number):
    file = tmp_path / "pids"
    code = OWNER.format(scripts=str(SCRIPTS), command=FAMILY.format(file=file))
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    guard = int(owner.stdout.readline())
    pids = family(file)
    owner.send_signal(number)
    owner.wait()
    owner.stdout.close()
    assert_gone([*pids, guard])


def test_everything_ends_with_the_command(tmp_path):
    file = tmp_path / "pids"
    process = GuardedProcess(["sh", "-c", FAMILY.format(file=file)])
    pids = family(file)
    process.send(signal.SIGKILL)
    assert process.wait(30) == 128 + signal.SIGKILL
    assert not any(is_alive(pid) for pid in pids)


def test_the_command_ends_with_its_guard(tmp_path):
    process = GuardedProcess(["sh", "-c", "sleep 60 & exec sleep 61"])
    os.kill(process.guard_pid, signal.SIGKILL)
    process.wait(30)
    assert_gone([process.pid])
    assert process.poll() == -signal.SIGKILL


def test_exit_status_is_the_commands():
    assert GuardedProcess(["sh", "-c", "exit 7"]).wait(30) == 7
    assert GuardedProcess(["sh", "-c", "kill -TERM $$"]).wait(30) == 128 + signal.SIGTERM


def test_a_command_that_is_not_there_is_one_sentence():
    with pytest.raises(ProcessFailed, match="/no/such/thing: No such file"):
        GuardedProcess(["/no/such/thing"])


def test_stubborn_commands_are_killed_after_their_grace(tmp_path):
    deaf = tmp_path / "deaf"
    command = f"trap '' TERM; touch {deaf}; sleep 60 & wait; sleep 60"
    process = GuardedProcess(["sh", "-c", command])
    wait_until(deaf.exists, 5, "it hears no SIGTERM")
    asked = Stopwatch()
    process.stop(grace=0.3)
    asked.assert_within(5)
    assert not is_alive(process.pid)
