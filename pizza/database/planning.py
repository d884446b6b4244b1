"""Query plans for periodic statements that read a few rows of very large tables."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pizza.database.connection import Connection

# One statement, so one round trip.
_SETTINGS = """
select set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true),
       set_config('jit', 'off', true)
"""


@contextmanager
def index_plans(conn: Connection) -> Generator[None, None, None]:
    """Run the block in a transaction whose statements read by index, in its order, if possible.

    A session keeps a plan from its first use, and statistics are up to a minute old: a plan made
    for an empty table still scans or sorts it when it has 100,000 rows. Here statements with
    parameters are planned each time (about 1 ms). JIT is off: without an index the plan's cost
    is so high that the server would compile it for half a second. Inside a transaction of the
    caller this is a savepoint, and the settings last until that transaction ends.
    """
    with conn.transaction():
        conn.execute(_SETTINGS)
        yield
