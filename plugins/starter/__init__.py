"""The files of the starter weights, each with its card, and how they are packed."""
