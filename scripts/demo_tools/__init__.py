"""The demo behind scripts/demo: a lunch rush of twelve orders, shown and checked."""
