"""One `restaurant-system` process, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devservices import GuardedProcess

from ..waiting import TIMEOUT_FACTOR
from .conditions import eventually

PROGRAM = Path(sys.executable).with_name("restaurant-system")
FIELDS = (
    "timestamp", "level", "service", "worker_name", "order_number", "action", "message",
    "duration_ms", "priority", "details", "trace_id",
)  # fmt: skip
LEVELS = {"DEBUG", "INFO", "WARN", "ERROR"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

START_S = 20.0
STOP_S = 12.0
KILLED = 128 + signal.SIGKILL

Line = dict[str, Any]


class Program:
    """Started at construction; stdout and stderr go to files of its own in `folder`.

    It reads no `.env`, and its environment is the test's without the product's variables.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        flags: Sequence[str],
        servers: Mapping[str, str],
        *,
        nohup: bool = False,
    ) -> None:
        """nohup: start it with SIGHUP ignored, as nohup(1) does."""
        self.name = name
        self.expected_stderr = ""
        self.expected_code = 0
        self.killed = False
        self._told_to_stop = False
        self.stdout_path = folder / f"{name}.stdout"
        self.stderr_path = folder / f"{name}.stderr"
        self._flags = list(flags)
        first = 'trap "" HUP; ' if nohup else ""
        command = [
            "/bin/sh",
            "-c",
            f'{first}exec "$@" 2>"$0"',
            self.stderr_path,
            PROGRAM,
            *self._flags,
        ]
        with self.stdout_path.open("ab") as stdout:
            self.process = GuardedProcess(
                command, env=_environment() | dict(servers), cwd=folder, output=stdout
            )

    # -- what it says -----------------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        """All finished lines of stdout so far. Raises ValueError for one that is not JSON."""
        text = self.stdout_path.read_text("utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text("utf-8") if self.stderr_path.exists() else ""

    def said(self, action: str) -> list[Line]:
        """The lines about one action."""
        return [line for line in self.lines if line.get("action") == action]

    def wait_for(self, action: str, seconds: float = START_S, count: int = 1) -> Line:
        """Wait until it has logged an action (`count` times), and return the last such line."""
        what = f"{self.name} logs {action!r} {count} times; it said: {self.stderr}"
        eventually(lambda: len(self.said(action)) >= count or not self.running, seconds, what)
        said = self.said(action)
        assert len(said) >= count, f"{self.name} ended: {self.stderr}, {self.lines[-3:]}"
        return said[-1]

    def refused(self, sentence: str, code: int = 2) -> None:
        """Wait until it has ended by itself, with nothing but this sentence on stderr."""
        self.expected_code = code
        self.expected_stderr = f"restaurant-system: {sentence}\n"
        assert self.exit_code(START_S) == code, self.stderr
        self.check_output()

    def check_end(self) -> None:
        """It ended as expected: in good order, or by kill -9 where a test did that."""
        expected = KILLED if self.killed else self.expected_code
        code = self.process.poll()
        assert code == expected, f"{self.name} ended with {code}: {self.lines[-3:]}"
        self.check_output()

    def check_output(self) -> None:
        """Every line of stdout is one JSON object of the specified form; stderr is as expected."""
        text = self.stdout_path.read_text("utf-8")
        assert text == "" or text.endswith("\n"), f"{self.name} ended in the middle of a line"
        for line in self.lines:
            self._check_line(line)
        assert (self.name, self.stderr) == (self.name, self.expected_stderr)

    def _check_line(self, line: Line) -> None:
        assert isinstance(line, dict), line
        assert list(line) == [field for field in FIELDS if field in line], line
        assert TIMESTAMP.fullmatch(line["timestamp"]), line
        assert line["level"] in LEVELS, line
        assert f"--mode={line['service']}" in self._flags or line["service"] == "setup", line
        assert isinstance(line["message"], str) and line["message"], line
        if line["service"] == "kitchen-worker":
            assert f"--worker-name={line['worker_name']}" in self._flags, line
        assert line.get("action") not in ("crash", "executor_failed", "unraisable"), line

    # -- what is done to it -----------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.process.running

    def exit_code(self, seconds: float = STOP_S) -> int:
        """Wait for its end, TIMEOUT_FACTOR times as long; raises subprocess.TimeoutExpired."""
        return self.process.wait(TIMEOUT_FACTOR * seconds)

    def hang_up(self) -> None:
        """SIGHUP to it and its children, as when its terminal closes."""
        os.killpg(self.process.pid, signal.SIGHUP)

    def terminate(self) -> None:
        """SIGTERM, once, without waiting."""
        if not self._told_to_stop:
            self._told_to_stop = True
            self.process.send(signal.SIGTERM)

    def stop(self, seconds: float = STOP_S) -> int:
        """SIGTERM, and wait: the exit code. Raises subprocess.TimeoutExpired."""
        self.terminate()
        return self.exit_code(seconds)

    def kill(self) -> None:
        """kill -9, and wait until nothing of it is left."""
        self.killed = True
        self.process.kill()

    def freeze(self) -> None:
        """SIGSTOP to it and all its children."""
        self.process.pause()

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.resume()


def _environment() -> dict[str, str]:
    ours = {
        "DB_URL", "RABBITMQ", "COOKING_TIME", "LOG_LEVEL", "LOG_FILE", "MODE", "PORT",
        "STAFF_KEY", "STAFF_KEY_FILE", "PIZZA_ENV",
    }  # fmt: skip
    return {name: value for name, value in os.environ.items() if name not in ours}
