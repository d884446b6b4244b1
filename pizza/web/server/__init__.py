"""The HTTP server: processes, sockets, shutdown, limits of concurrency."""
