"""The processes of the restaurant, one module for each."""
