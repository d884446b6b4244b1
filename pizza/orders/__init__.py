"""Orders: placed, moved from status to status, listed."""
