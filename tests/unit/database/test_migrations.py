"""Migrations of a release never change: a database that has run them would refuse the new text."""

from __future__ import annotations

import hashlib

from pizza.database.migrate import scripts

# Of the names and checksums of all migrations up to the newest one of the release.
RELEASES = {
    # 0.2.0
    "0016_ids_by_time.sql": "2c11c4382fd952c2a900e40ec6d29d1b8ef6e55e4adf038b9fc3a70cf8844c3f",
}


def test_migrations_of_releases_are_as_they_were_released() -> None:
    for newest, digest in RELEASES.items():
        released = "".join(
            f"{script.checksum} {script.name}\n" for script in scripts() if script.name <= newest
        )
        assert hashlib.sha256(released.encode()).hexdigest() == digest, (
            "a migration of a release was changed; undo that, and add a new file"
        )
