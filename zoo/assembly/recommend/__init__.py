"""The parts of `zoo recommend`: who takes part, on how many images, how long, and what follows from it."""
