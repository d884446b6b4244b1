"""Settings: their parsers, and checks for unsafe values."""
