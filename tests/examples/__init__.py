"""The projects in `examples/`, and that callbacks work in them as penalties that are written into them."""
