"""The demo ends well whatever is killed, and leaves nothing behind whatever way it ends itself."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo_tools.demo import mention_older
from devservices.proc import command_of, is_alive
from devservices.reaper import descendants, send_signal
from supervisor.api_client import ApiClient

from ..support.waiting import wait_until

RUNNER = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap" / "run_module.py"


class Demo:
    """A running demo, its output read line by line, and every process that it ever had."""

    def __init__(self, *options: str):
        self.process = subprocess.Popen(
            [sys.executable, RUNNER, "demo_tools.demo", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.seen: set[int] = set()
        self.lines: list[str] = []

    def read_until(self, words: str) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            self.seen.update(descendants(self.process.pid))
            if words in line:
                return
        raise AssertionError(f"no {words!r} in:\n{''.join(self.lines)}")

    def kill_one(self, words: str) -> None:
        """kill -9 a process of the demo whose command line has `words` in it, once there is one."""

        def killed() -> bool:
            for pid in descendants(self.process.pid):
                command = command_of(pid)
                if words in command and "reaper.py" not in command:
                    return send_signal(pid, signal.SIGKILL)
            return False

        wait_until(killed, 10, f"a process called {words} is killed")

    def end(self) -> int:
        self.lines += self.process.stdout.readlines()
        self.process.stdout.close()
        return self.process.wait(120)

    def assert_nothing_is_left(self) -> None:
        gone = lambda: not any(map(is_alive, self.seen))  # noqa: E731
        wait_until(gone, 5, f"none is left of {self.seen}")


@pytest.fixture
def demo(request):
    running = Demo(*getattr(request, "param", ()))
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def test_every_order_reaches_its_guest_and_three_go_another_way(demo):
    assert demo.end() == 0, "".join(demo.lines)
    text = "".join(demo.lines)
    assert "Checked: 12 orders, each received, cooked, ready and delivered once." in text
    number = r"  (?:But )?ORD_\d{8}_\d{3,} "
    assert len(re.findall(number + "was cooked and ready again: quality sent it back", text)) == 1
    assert len(re.findall(number + r"overtook [1-5] .*priority 1 → 10", text)) == 1
    assert len(re.findall(number + "was cancelled while it waited", text)) == 1
    assert len(re.findall(r"delivery  delivered by courier_1", text)) == 4
    assert len(re.findall(r"(dine-in|takeout ) +delivered by front desk", text)) == 8
    demo.assert_nothing_is_left()


def test_a_killed_cook_and_a_killed_broker_lose_and_double_nothing(demo):
    demo.read_until("cooking by chef_2")
    demo.kill_one("--worker-name=chef_2")
    demo.kill_one("beam.smp")
    assert demo.end() == 0, "".join(demo.lines)
    text = "".join(demo.lines)
    assert "Checked: 12 orders, each received, cooked, ready and delivered once." in text
    assert "RabbitMQ had died and was started again." in text
    demo.assert_nothing_is_left()


def test_any_other_process_may_be_killed(demo):
    demo.read_until("out-for-delivery by courier_1")
    demo.kill_one("--station=courier")
    demo.kill_one("--mode=order-service")
    assert demo.end() == 0, "".join(demo.lines)
    text = "".join(demo.lines)
    assert "Checked: 12 orders, each received, cooked, ready and delivered once." in text
    for process in ("courier", "order-service"):
        assert re.search(process + r"\S* had died and was started again\.", text)
    demo.assert_nothing_is_left()


@pytest.mark.parametrize("demo", [["--stay"]], indirect=True)
def test_one_that_stays_open_says_how_the_commands_find_it(demo, tmp_path):
    demo.read_until("export RABBITMQ=")
    exports = re.findall(r"^  export (\w+)=(.*)$", "".join(demo.lines), re.MULTILINE)
    words = [sys.executable, "-m", "flask", "--app", "pizza", "workers", "list", "--json"]

    found = subprocess.run(
        words, env={**dict(exports), "PATH": ""}, cwd=tmp_path, capture_output=True, check=True
    )

    workers = json.loads(found.stdout)
    assert sum(each["status"] == "online" for each in workers) == 6
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0
    demo.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_demo_leaves_nothing(demo, number):
    demo.read_until("cooking by")
    demo.process.send_signal(number)
    code = demo.end()
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert len(demo.seen) > 15
    demo.assert_nothing_is_left()


class Kitchen(ApiClient):
    """A client of a restaurant whose board shows one order of each of these statuses."""

    def __init__(self, *statuses: str):
        super().__init__(port=0)
        self.statuses = statuses

    def get(self, path: str, timeout: float = 0) -> list[dict[str, str]]:
        assert path == "/kitchen/board"
        return [{"status": status} for status in self.statuses]


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (("cooking", "ready", "received"), "  2 orders wait from an earlier run and"),
        (("received", "out-for-delivery"), "  1 order waits from an earlier run and"),
    ],
)
def test_orders_of_an_earlier_run_that_are_cooked_first_are_mentioned(capsys, statuses, words):
    mention_older(Kitchen(*statuses))
    assert capsys.readouterr().out.startswith(words)


def test_without_orders_of_an_earlier_run_nothing_is_said_of_them(capsys):
    mention_older(Kitchen("ready"))
    assert capsys.readouterr().out == ""
