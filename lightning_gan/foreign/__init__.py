"""What makes callbacks work in every LightningModule: the host, observed forward passes, added gradients."""
