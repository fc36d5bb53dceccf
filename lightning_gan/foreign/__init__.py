"""Support for callbacks in every LightningModule: the host, recorded forward passes, added gradients."""
