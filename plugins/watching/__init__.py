"""Built-in callbacks: they stop a run, or show what happens in it."""
