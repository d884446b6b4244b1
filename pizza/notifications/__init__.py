"""Notifications for people who follow orders."""
