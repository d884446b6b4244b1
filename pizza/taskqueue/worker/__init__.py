"""Workers: they fetch messages and run their tasks."""
