"""Output for people: progress lines and tables."""
