"""The feature bank: one pass of a frozen backbone, kept; and what is fitted on it."""
