"""The nouns of the package: what a tensor holds and which shape it has.

Signatures use these names; the test suite alone checks them at run time (jaxtyping + beartype).
"""

from typing import TypeAlias

from jaxtyping import Float, Int, UInt8
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channels height width"]
"""Images in [-1, 1] (generators may overshoot)."""

ImageBytes: TypeAlias = UInt8[Tensor, "batch channels height width"]
"""Images in 0..255, as they travel from the disk to the device."""

Latents: TypeAlias = Float[Tensor, "batch latent"]
"""Inputs of the generator, usually standard normal."""

Labels: TypeAlias = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
"""Class indices 0..K-1, or multi-hot (one-hot) rows."""

Logits: TypeAlias = Float[Tensor, "batch ..."]
"""Raw scores of a critic, without sigmoid; high means real. One number per sample, or a map of them (patch critics)."""

FakeImages: TypeAlias = Float[Tensor, "fakes channels height width"]
"""Generated images; a generator's turn may make more of them than there are real images in the batch."""

FakeLatents: TypeAlias = Float[Tensor, "fakes latent"]
"""What they are made from."""

FakeLabels: TypeAlias = Int[Tensor, " fakes"] | Float[Tensor, "fakes classes"]
"""What they were made for."""

FakeLogits: TypeAlias = Float[Tensor, "fakes ..."]
"""What the critic says of them."""

PerSample: TypeAlias = Float[Tensor, " batch"]
"""One number per sample."""

Scalar: TypeAlias = Float[Tensor, ""]
"""One number."""

Features: TypeAlias = Float[Tensor, "batch features"]
"""One feature vector per image, for the metrics."""
