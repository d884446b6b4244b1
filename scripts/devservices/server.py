"""What all private servers share: one process in one folder, on one port of the loopback."""

import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from devservices.ports import LOOPBACK, free_port
from devservices.process import GuardedProcess, ProcessFailed, last_line
from devservices.waiting import wait_until


class PrivateServer(ABC):
    """The port stays the same through stops, crashes and wipes. Usable as a context manager.

    START_SECONDS: how long a start may take. STOP_SIGNAL, STOP_SECONDS: of a regular stop.
    ERROR_SIGNS: what the line of the log has that explains a failed start.
    """

    NAME: ClassVar[str]
    START_SECONDS: ClassVar[float]
    STOP_SIGNAL = signal.SIGTERM
    STOP_SECONDS: ClassVar[float] = 30.0
    ERROR_SIGNS: ClassVar[Sequence[str]] = ()

    def __init__(self, folder: Path | str) -> None:
        """Starts nothing. What is in `folder` from an earlier run is used again."""
        self.folder = Path(folder).resolve()
        self.port = free_port()
        self.log = self.folder / f"{self.NAME.lower()}.log"
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        """host:port"""
        return f"{LOOPBACK}:{self.port}"

    @property
    def process(self) -> GuardedProcess:
        """The running server; ProcessFailed before the first start."""
        if self._process is None:
            raise ProcessFailed(f"{self.NAME} has not been started.")
        return self._process

    @abstractmethod
    def launch(self) -> Self:
        """Start without waiting, but for what the first start has to prepare."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client that connects now is served."""

    def start(self) -> Self:
        """Start, and wait until clients are served."""
        return self.launch().wait_ready()

    def wait_ready(self) -> Self:
        """Wait until clients are served; ProcessFailed if it ends or takes too long."""
        if wait_until(lambda: self.answers() or not self.process.running, self.START_SECONDS, 0.03):
            if self.process.running:
                return self
            problem = "did not start"
        else:
            problem = f"was not ready after {self.START_SECONDS:.0f} s"
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        reason = last_line(text, *self.ERROR_SIGNS)
        raise ProcessFailed(f"{self.NAME} {problem}, see {self.log}: {reason}")

    def stop(self) -> None:
        """Stop regularly, if it runs; a frozen one goes on first."""
        if self._process and self._process.running:
            self._process.resume()
            self._process.stop(self.STOP_SIGNAL, self.STOP_SECONDS)

    def kill9(self) -> None:
        """Crash: the server and all its children at once."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop if running, then start on the same port."""
        self.stop()
        return self.start()

    def wipe(self) -> Self:
        """Lose the whole disk, and come back empty on the same port."""
        if self._process:
            self._process.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        return self.start()

    def pause(self) -> None:
        """Hang: the kernel accepts connections, and nothing is answered."""
        self.process.pause()

    def resume(self) -> None:
        """End the hang."""
        self.process.resume()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> GuardedProcess:
        """Start a command in the folder, with its output in the log."""
        with self.log.open("ab") as log:
            return GuardedProcess(command, env=environment, cwd=self.folder, output=log)
