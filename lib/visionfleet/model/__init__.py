"""The only package that imports torch: the network, its checkpoints and the forward pass."""
