"""The leader's work: one process publishes the outbox, keeps house and runs periodic tasks.

Each of the three has a thread and a database connection of its own, so that none waits for another.
"""
