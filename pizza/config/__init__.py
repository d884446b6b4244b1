"""Settings: options, parsers, and checks for unsafe values."""
