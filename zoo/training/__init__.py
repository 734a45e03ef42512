"""One training loop, its checkpoints, and what it needs to know of devices. Only here is accelerate known."""
