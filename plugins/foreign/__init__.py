"""Readers of other frameworks' weight files: what `zoo_plugins.importers` offers."""
