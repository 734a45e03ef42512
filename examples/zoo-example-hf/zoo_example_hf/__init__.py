"""Data sets and image networks of the Hugging Face hub, as a plugin for zoo."""
