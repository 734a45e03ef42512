"""YAML of the plugin."""
