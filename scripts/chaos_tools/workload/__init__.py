"""What a scenario sends: orders, tasks of its own, messages of other programs."""
