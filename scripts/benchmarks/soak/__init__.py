"""Soak test: many orders through all stations; what grows, and what slows down."""
