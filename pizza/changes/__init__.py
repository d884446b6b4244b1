"""The change feed: all changes of orders, each once."""
