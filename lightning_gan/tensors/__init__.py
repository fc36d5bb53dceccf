"""What all rooms agree on about tensors: shapes, seeds, precision, images as bytes."""
