"""Reading and writing the restaurant's tables; every function takes a connection."""
