"""Type aliases for tensors, which state what a tensor contains and its shape.

Signatures use these names. Only the test suite checks them at run time (jaxtyping and beartype).
"""

from typing import TypeAlias

from jaxtyping import Float, Int, UInt8
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channels height width"]
"""Images in [-1, 1]. Values of generated images may lie slightly outside."""

ImageBytes: TypeAlias = UInt8[Tensor, "batch channels height width"]
"""Images in 0..255, as datasets load them and as they are copied to the device."""

StoredImages: TypeAlias = UInt8[Tensor, "batch channels height width"] | Float[Tensor, "batch channels height width"]
"""Images as data sets give them: bytes in 0..255, or floats in [-1, 1]."""

Latents: TypeAlias = Float[Tensor, "batch latent"]
"""Inputs of the generator, usually standard normal."""

Labels: TypeAlias = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
"""Class indices 0..K-1, or multi-hot (one-hot) rows."""

Logits: TypeAlias = Float[Tensor, "batch ..."]
"""Raw scores of a discriminator, without sigmoid. A high score means real.

There is one number per sample, or a map of numbers per sample (patch discriminators)."""

FakeImages: TypeAlias = Float[Tensor, "fakes channels height width"]
"""Generated images in about [-1, 1]. Their number may be larger than that of the real images in the batch."""

FakeLatents: TypeAlias = Float[Tensor, "fakes latent"]
"""Latents that the generator makes the generated images from."""

FakeLabels: TypeAlias = Int[Tensor, " fakes"] | Float[Tensor, "fakes classes"]
"""Classes of the generated images: indices 0..K-1, or multi-hot (one-hot) rows."""

FakeLogits: TypeAlias = Float[Tensor, "fakes ..."]
"""Raw scores of the generated images by the discriminator, without sigmoid."""

PerSample: TypeAlias = Float[Tensor, " batch"]
"""One number per sample."""

Scalar: TypeAlias = Float[Tensor, ""]
"""One number."""

Features: TypeAlias = Float[Tensor, "batch features"]
"""One feature vector per image, as the metrics use them."""
