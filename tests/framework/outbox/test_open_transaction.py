"""A sender that has sent something and stays in its transaction costs the relay little."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import psycopg
import pytest

from pizza.database.connection import BoundedConnection
from pizza.framework.task import publish

from ...pace import Stopwatch, wait_until
from ..event_probe import EventProbe
from ..stage import Stage

OPEN_S = 10.0


def test_the_relay_rests_while_a_sender_is_in_no_hurry(stage: Stage) -> None:
    relay = stage.relay()
    with psycopg.connect(stage.db_url) as sender:
        publish(sender, stage.prefix, "event.x", {})
        # The first moments are a relay that has just had something to do.
        time.sleep(0.5)
        watch, before = Stopwatch(), relay.cpu_seconds()
        time.sleep(OPEN_S)
        share = (relay.cpu_seconds() - before) / watch.seconds
        with EventProbe(stage) as probe:
            time.sleep(3)
        sender.rollback()
    print(share, probe.percentile(0.5), probe.percentile(0.99))
    assert share <= 0.05
    probe.assert_on_time(0.1)
