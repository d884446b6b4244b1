"""Makes .venv and starts a program of scripts/ in it. Standard library only."""
