"""The optimizer Lion, as a plugin for zoo."""
