"""Regularizers of both players, as callbacks."""
