"""LightningModules as other people write them, and that penalties work in them as if they were written into them."""
