"""Built-in trackers: files of our own, and libraries for curves through accelerate."""
