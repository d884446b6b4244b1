"""What the database layer raises.

DatabaseError
├── DatabaseUnavailable         absent, hung, restarting, or no connection free in time
│   ├── DatabaseTransientError  reachable, but it failed for now: disk full, read-only, deadlock
│   └── DatabaseUnsupported     reachable, but this program cannot use it as it is set up
├── MigrationError              a migration file was changed, is missing, or failed
└── QueryNotFound               no query of that name in the file
"""


class DatabaseError(Exception):
    """Base class of the errors of pizza.database."""


class DatabaseUnavailable(DatabaseError):
    """The server could not be reached or did not answer in time; try again later."""


class DatabaseTransientError(DatabaseUnavailable):
    """The statement was rolled back for a temporary reason; the connection can still be used."""


class DatabaseUnsupported(DatabaseUnavailable):
    """The program cannot use this server, database or pooler as it is set up.

    The text is one sentence for an operator: the problem and its remedy.
    """


class MigrationError(DatabaseError):
    """The migrations could not be applied; the text says why."""


class QueryNotFound(DatabaseError):
    """The SQL file has no query of that name."""
