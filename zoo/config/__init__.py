"""From the words of a command line to typed, checked configuration. Only this room and the verbs know Hydra."""
