"""Import of weights of the authors' and of other people's networks."""
