"""The Procfile: which processes make a restaurant, and the name of each instance."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One process to start: honcho's name for it, such as `cook.2`, and its shell command."""

    name: str
    command: str


def read_procfile(path: Path, counts: Mapping[str, int]) -> list[Entry]:
    """The processes that `honcho start -c …` would start; 1 of each that `counts` leaves out."""
    return [
        Entry(f"{kind}.{number}", command.strip())
        for kind, command in LINE.findall(path.read_text())
        for number in range(1, counts.get(kind, 1) + 1)
    ]
