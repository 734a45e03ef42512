"""The built-in regularizers, by where they act: network, penalty, batch, gradient, step, average."""
