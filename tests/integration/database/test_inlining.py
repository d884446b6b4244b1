"""PostgreSQL inlines the small SQL functions; otherwise each call parses and plans them again."""

import psycopg

# Release 0.2 calls them, they read a table, or the plan around them is better as it is.
NOT_INLINED = {"has_moved", "key_is_void", "menu_price_errors", "estimate_shifted"}

FUNCTIONS = """
select p.proname, array(select format_type(t, null) from unnest(p.proargtypes) t)
from pg_proc p join pg_language l on l.oid = p.prolang
where l.lanname = 'sql' and p.pronamespace = 'public'::regnamespace and not p.proretset
  and p.prorettype not in ('void'::regtype, 'record'::regtype)
  and p.provolatile <> 'v'
"""


def test_small_functions_are_inlined(db_url):
    with psycopg.connect(db_url) as conn:
        functions = conn.execute(FUNCTIONS).fetchall()
        found = {name for name, types in functions if f"{name}(" in plan(conn, name, types)}

    assert {"trace_headers", "derived_uuid", "iso8601_utc"} < {name for name, _ in functions}
    assert found <= NOT_INLINED


def plan(conn, name, types):
    """The plan of a call with arguments that are not constant."""
    columns = ", ".join(f"null::{each} as a{i}" for i, each in enumerate(types)) or "1"
    arguments = ", ".join(f"q.a{i}" for i in range(len(types)))
    query = f"select {name}({arguments}) from (select {columns} from now() offset 0) q"
    lines = conn.execute(f"explain (verbose, costs off) {query}").fetchall()
    return "\n".join(line for (line,) in lines).replace('"', "")
