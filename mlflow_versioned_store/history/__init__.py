"""What happened to an artifact root: commits, log, checkpoints, state and addresses. Knows nothing of packs."""
