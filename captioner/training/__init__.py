"""Manifests become a checkpoint: features, batches, losses and the loop over them."""
