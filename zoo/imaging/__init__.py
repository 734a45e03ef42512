"""From bytes to a network's input: one path for training, validation, prediction and export."""
