"""Starts the processes of the Procfile and their servers, restarts them, and stops them."""
