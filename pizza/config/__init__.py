"""Settings: read, checked, and refused where they are unsafe."""
