"""Conventions for tensors in the whole package: shapes, seeds, precision, images as bytes."""
