"""What is checked during and after a scenario: database, queues, latencies, resources."""
