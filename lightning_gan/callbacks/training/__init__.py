"""Callbacks around the loop: average, growing, learning rates, progress, checkpoints, the end."""
