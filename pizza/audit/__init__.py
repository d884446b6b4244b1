"""The audit log: who changed what, and who read whose data."""
