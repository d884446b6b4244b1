"""PostgreSQL: bounded connections, a pool, named queries, migrations. Knows no pizza."""
