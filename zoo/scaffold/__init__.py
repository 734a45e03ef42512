"""Writes new plugins: a complete distribution with a working component of each kind that is asked for."""
