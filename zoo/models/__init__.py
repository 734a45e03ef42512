"""Networks: the head's slot, parameters by depth, and what can be said of a network without training it."""
