"""A tracker for zoo: DVCLive's plain files."""
