"""What crosses a doorway between two stages: frozen dataclasses, never a dict or a config node.

Nothing here imports torch when it is imported, and no stage is imported here. A stage that hands something to
another describes it in this package, so that two stages never import each other.
"""
