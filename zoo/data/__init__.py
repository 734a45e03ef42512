"""From a user's files to batches: check, split, decode once, read in an order that the seed alone decides."""
