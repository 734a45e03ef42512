"""The built-in regularizers, by where they act: network, penalty, batch, step, average."""
