"""Networks that are written here: the classics that no library has, and variants that imports need."""
