"""Storms over a full restaurant: each is thrown at it while guests order, and leaves a verdict."""
