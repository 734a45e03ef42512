"""Augmentation of whole batches by kornia, as a plugin for zoo."""
