"""Tab completion: what may stand at the end of a command line, found out without importing any component's library."""
