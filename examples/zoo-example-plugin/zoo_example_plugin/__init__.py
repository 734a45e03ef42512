"""A complete plugin for zoo."""
