"""The training loop, and the interfaces between the loop, models and callbacks."""
