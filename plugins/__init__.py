"""zoo's own plugins: everything built in arrives here, through the same hooks as a stranger's."""
