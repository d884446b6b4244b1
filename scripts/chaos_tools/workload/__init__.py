"""What a scenario sends: orders, tasks, messages of other programs."""
