"""Pretrained values: where they are found, how files are read, and how strictly they are put into a network."""
