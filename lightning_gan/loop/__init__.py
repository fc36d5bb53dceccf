"""The training loop, and what models and callbacks know of each other."""
