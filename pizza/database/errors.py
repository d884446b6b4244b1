"""What the database layer raises.

DatabaseError
├── DatabaseUnavailable   absent, hung, restarting, or no connection free in time
│   ├── DatabaseRefused   there, but it cannot do this now: disk full, reading only, a deadlock
│   └── DatabaseUnsupported  there, but this program cannot use it as it is set up
├── MigrationError        a migration file was changed, is missing, or failed
└── QueryNotFound         a named query that no file holds
"""


class DatabaseError(Exception):
    """Root of what pizza.database raises."""


class DatabaseUnavailable(DatabaseError):
    """The server could not be reached or did not answer in time; try again later."""


class DatabaseRefused(DatabaseUnavailable):
    """The server has rolled back what another time would have passed; the connection is sound."""


class DatabaseUnsupported(DatabaseUnavailable):
    """The program cannot use this server, database or pooler as it is set up.

    The text is one sentence for an operator: what is wrong, and what to do.
    """


class MigrationError(DatabaseError):
    """The schema cannot be brought to the state the files describe."""


class QueryNotFound(DatabaseError):
    """A query was asked for by a name that its file does not hold."""
