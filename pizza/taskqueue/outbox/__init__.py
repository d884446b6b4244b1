"""The leader's work: publishing the outbox, maintenance, and periodic tasks.

Each of the three has its own thread and database connection, so none waits for another.
"""
