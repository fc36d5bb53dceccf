"""Callbacks that measure a generator."""
