"""Authentication: staff keys, sessions, and customers' tokens."""
