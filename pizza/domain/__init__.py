"""The rules of the restaurant: orders, priorities, statuses. Standard library only, no I/O."""
