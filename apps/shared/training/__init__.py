"""Training: the fit loop, losses, optimizers, batches, checkpoints and splits."""
