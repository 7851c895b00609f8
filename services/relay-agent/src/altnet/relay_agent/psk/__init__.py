"""Pre-shared keys of pairs of relays: derived by the two agents, known to nobody else."""
