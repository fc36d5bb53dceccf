"""Inception's weights file with random weights, in the format of the published one, and images to compare by it."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity import FeatureExtractorInceptionV3


def write_random_inception(path: Path) -> Path:
    """Writes a file of random weights under the names and in the shapes of the published file; returns its path.

    The convolutions keep the size of activations (He et al. 2015), so that features are neither huge nor all 0.
    """
    seen: dict[str, Tensor] = {}

    class Bare(FeatureExtractorInceptionV3):  # type: ignore[misc]
        """torch-fidelity makes its network only together with weights."""

        def load_state_dict(self, *_: object, **__: object) -> None:
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                elif isinstance(layer, nn.BatchNorm2d):
                    nn.init.normal_(layer.running_mean, std=0.1)
                    nn.init.uniform_(layer.running_var, 0.5, 1.5)
                    nn.init.uniform_(layer.weight, 0.8, 1.2)
                    nn.init.normal_(layer.bias, std=0.1)
            nn.init.normal_(self.fc.weight, std=0.1)  # the classes of images differ
            seen.update(self.state_dict())

    torch.save({}, path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Bare("inception-v3-compat", ["2048"], str(path))
    torch.save(seen, path)
    return path


def structured_images(count: int, *, seed: int, size: int = 32, noise: float = 0.5, channels: int = 3) -> Tensor:
    """Uint8 images, `count channels size size`: smooth random patterns of any contrast, blended with noise."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=random)
    smooth = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    rough = torch.rand(count, channels, size, size, generator=random)
    contrast = torch.rand(count, channels, 1, 1, generator=random)
    return (255 * contrast * ((1 - noise) * smooth + noise * rough)).round().to(torch.uint8)
