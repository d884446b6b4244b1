"""The sessions of a worker whose lease has ended are terminated, whatever the number of others."""

from __future__ import annotations

import psycopg
import pytest

from pizza.database.connection import connect
from pizza.taskqueue.outbox import rescuer

_REGISTER = """
insert into worker_session (id, name, lease_expires_at)
select %s + n, 'gone', clock_timestamp() - interval '2 minutes' from generate_series(1, %s) n
"""
_FROZEN = 5_000_000_000
_LIVES = "select count(*) from pg_stat_activity where pid = any(%s)"


def test_frozen_workers_are_ended_behind_a_thousand_that_are_gone(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescuer, "_GAP_S", 0.0)
    with (
        connect(db_url, name="keeper") as conn,
        psycopg.connect(db_url, autocommit=True) as session,
        psycopg.connect(db_url, autocommit=True) as job,
    ):
        # Given a frozen worker's two sessions, and a thousand rows of workers without one
        conn.execute(_REGISTER, (1_000_000_000, 1000))
        conn.execute(_REGISTER, (_FROZEN, 1))
        conn.execute("update worker_session set lease_expires_at = now() where id > %s", (_FROZEN,))
        session.execute("select pg_advisory_lock(%s)", (_FROZEN + 1,))
        job.execute("select pg_advisory_lock(%s)", (-_FROZEN - 1,))
        pids = [session.info.backend_pid, job.info.backend_pid]
        # When the keeper looks once
        rescuer.Rescuer(conn).rescue()
        # Then its sessions have ended
        for each in (session, job):
            with pytest.raises(psycopg.OperationalError):
                each.execute("select 1")
        assert conn.execute(_LIVES, (pids,)).fetchone() == (0,)
