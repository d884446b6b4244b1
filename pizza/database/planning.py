"""Plans of periodic statements, which look at a few rows of tables that may be very large."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg

# One statement, so one round trip.
_SETTINGS = """
select set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true),
       set_config('jit', 'off', true)
"""


@contextmanager
def index_plans(conn: psycopg.Connection[Any]) -> Generator[None, None, None]:
    """A transaction whose statements read by an index, in its order, as far as there is one.

    Sessions keep a plan from its first use on, and statistics are up to a minute old. A plan for a
    table that was empty reads it whole, or sorts it, when 100,000 rows have come. Statements with
    parameters are planned each time, which takes about a millisecond. Where a table has no index
    to read by, the plan seems so dear that the server would compile it, for half a second: hence no
    JIT. Inside a transaction of the caller this is a savepoint, and the settings stay to the end of
    that transaction.
    """
    with conn.transaction():
        conn.execute(_SETTINGS)
        yield
