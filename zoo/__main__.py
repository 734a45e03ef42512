"""`python -m zoo`."""

from zoo.cli import script

if __name__ == "__main__":
    script()
