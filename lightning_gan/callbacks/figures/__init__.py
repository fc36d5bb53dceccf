"""Callbacks that draw samples and the papers' figures."""
