"""A console that keeps what is said."""

from __future__ import annotations

from zoo.assembly.console import Console


class Listening(Console):
    """Keeps what is said."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, text):
        self.lines.append(text)
