"""zoo's own YAML: the primary file of a verb, curated options, experiments."""
