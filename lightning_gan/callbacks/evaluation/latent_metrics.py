"""How smoothly images change along paths between latents, and how plainly latents separate by the images' attributes.

Karras et al. 2019 (StyleGAN, arXiv:1812.04948), section 4, call it disentanglement.

The mathematics is in `lightning_gan.metrics`; when and where is `Measurement`'s.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lightning_gan.callbacks.evaluation.measurement import Measurement, Share, gathered
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.style_based import StyleBased, style_based_of
from lightning_gan.metrics import FeatureSet
from lightning_gan.metrics.linear_separability import linear_separability
from lightning_gan.metrics.perceptual_path import mean_without_extremes, path_lengths, slerp
from lightning_gan.metrics.report import Record
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images, Labels, Latents, PerSample


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Inside, GPUs multiply fp32 numbers in full: TF32 would round a step of a ten-thousandth away."""
    convolutions, products = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = convolutions.fp32_precision, products.fp32_precision
    convolutions.fp32_precision = products.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision, products.fp32_precision = before


def _gan(module: LightningModule, *, asker: str) -> GAN:
    """The module, which makes images of latents.

    Raises:
        ValueError: if it does not, or if what its latents are is not known.
    """
    host = host_of(module)
    host.check_makes_images(asker)
    return host.gan(asker, problem="what its latents are is not known", remedy="leave this callback out")


class _Path(ABC):
    """Images along the paths between pairs of latents."""

    @abstractmethod
    def at(self, places: PerSample) -> Images:
        """Images at these places of the paths, 0 being their beginnings and 1 their ends."""


class _LatentPath(_Path):
    """Along great circles in z."""

    def __init__(self, module: GAN, first: Latents, second: Latents, labels: Labels | None, *, ema: bool) -> None:
        # In double precision, which the CPU has: in fp32 an angle's arc cosine alone may be off by more than the step.
        self.first, self.second = first.cpu().double(), second.cpu().double()
        self.module, self.labels, self.ema = module, labels, ema

    def at(self, places: PerSample) -> Images:
        # A normal latent is about sqrt(d) long; networks that do not normalize it know no shorter ones.
        latents = slerp(self.first, self.second, places.cpu().double()) * math.sqrt(self.module.latent_dim)
        return self.module.sample(latents.to(next(self.module.generator.parameters())), self.labels, ema=self.ema)


class _StylePath(_Path):
    """Along straight lines in w."""

    def __init__(self, module: GAN, first: Latents, second: Latents, labels: Labels | None, *, ema: bool) -> None:
        self.module, self.ema = style_based_of(module, asker="PerceptualPathLength", remedy="set space: z"), ema
        weight = next(module.generator.parameters())
        self.first, self.second = (self.module.styles(z.to(weight), labels, ema=ema) for z in (first, second))

    def at(self, places: PerSample) -> Images:
        places = places.to(self.first)[:, None, None]
        return self.module.synthesize(self.first.lerp(self.second, places), ema=self.ema)


class PerceptualPathLength(Measurement):
    """Perceptual path length (PPL): how far images move per short step between latents, in z or in w.

    It needs no real images. In z, paths are great circles between normalized latents, scaled to the length that normal
    latents have; in w, straight lines between styles. Both ends of a step get the same noise and labels. Networks run
    in fp32, whatever precision they train in: mixed precision would round the step away.

    Lengths compare only with others of the same distance. The papers' is LPIPS on VGG-16, whose weights are not part of
    this package: with the package `lpips` installed, give `class_path: lpips.LPIPS` with `net: vgg`. (torchmetrics' has
    the same weights with `reduction: none`, but refuses images that overshoot below -1.) On digits, give
    `lightning_gan.metrics.perceptual_path.DigitDistance`.

    Args:
        distance: of two batches of images, one number per pair. Images are float in about [-1, 1], neither clipped nor
            rounded, at most about 256 pixels high. It is frozen, and no part of checkpoints.
        space: z for any `GAN`; w for one that is `StyleBased`, as `StyleGAN` is.
        sampling: full takes steps anywhere on the paths, end at their beginnings.
        crop_faces: look at the face alone, as the papers do on CelebA-HQ and FFHQ.
        epsilon: the step, as a share of the path.
        discarded_share: of the lengths, at either end, that the mean leaves out.
        every_kimg: thousands of real images between measurements while fitting; None measures at the end only.
        pair_count: pairs of latents; 50,000 and more are the authors'.
        batch_size: pairs at once, on each rank. Where networks draw noise, it changes the images.
        seed: latents, places and noise are a function of it.
        ema: measure the averaged generator, if there is one.
        name: see `Evaluation`.

    Raises:
        ValueError: for settings that cannot be measured, and before training starts for modules that cannot be.
    """

    def __init__(
        self,
        *,
        distance: nn.Module,
        space: Literal["z", "w"] = "w",
        sampling: Literal["full", "end"] = "full",
        crop_faces: bool = False,
        epsilon: float = 1e-4,
        discarded_share: float = 0.01,
        every_kimg: float | None = None,
        pair_count: int = 50000,
        batch_size: int = 50,
        seed: int = 0,
        ema: bool = True,
        name: str = "metrics",
    ) -> None:
        super().__init__(every_kimg=every_kimg, batch_size=batch_size, seed=seed, name=name)
        self.check_counts(pair_count=pair_count)
        if space not in ("z", "w") or sampling not in ("full", "end"):
            raise ValueError(f"{self.title}: space={space!r} must be 'z' or 'w', sampling={sampling!r} 'full' or 'end'")
        if epsilon <= 0 or not 0 <= discarded_share < 0.5:
            raise ValueError(
                f"{self.title}: epsilon={epsilon} must be above 0, discarded_share={discarded_share} in [0, 0.5)"
            )
        self.distance = distance.requires_grad_(False).eval()
        self.space = space
        self.sampling = sampling
        self.crop_faces = crop_faces
        self.epsilon = epsilon
        self.discarded_share = discarded_share
        self.pair_count = pair_count
        self.ema = ema

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if str(trainer.precision) in ("16-true", "bf16-true"):
            raise ValueError(
                f"{self.title}: a step of {self.epsilon} is lost in weights of precision={trainer.precision}; train "
                "with '32-true' or mixed precision"
            )

    def check(self, module: LightningModule) -> None:
        _gan(module, asker=self.title)
        if self.space == "w":
            style_based_of(module, asker=self.title, remedy="they are the space w; set space: z")

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        gan = _gan(module, asker=self.title)
        first, labels = gan.draw_latents(self.pair_count, seed=self.seed)
        second, _ = gan.draw_latents(self.pair_count, seed=derived_seed(self.seed, "second ends"))
        places = torch.zeros(self.pair_count)
        if self.sampling == "full":
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "places"))
            places = torch.rand(self.pair_count, generator=generator)
        path = _StylePath if self.space == "w" else _LatentPath
        features = FeatureSet().to(module.device)
        with exact_convolutions():
            for share in self.shares(trainer, self.pair_count):
                here = share.positions
                ends = first[here], second[here]
                steps = path(gan, *ends, None if labels is None else labels[here], ema=self.ema)
                lengths = self._lengths(steps, places[here].to(module.device), share)
                features.update(lengths[:, None], share.filed)
        lengths = gathered(trainer, module, features)
        if not trainer.is_global_zero:
            return {}
        length = mean_without_extremes(lengths[:, 0], share=self.discarded_share).item()
        return {
            "space": self.space,
            "sampling": self.sampling,
            "distance": type(self.distance).__name__,
            "crop_faces": self.crop_faces,
            "epsilon": self.epsilon,
            "discarded_share": self.discarded_share,
            "pair_count": self.pair_count,
            "seed": self.seed,
            "ema": host_of(module).uses_average(trainer, ema=self.ema),
            "metrics": {f"path_length_{self.space}_{self.sampling}": length},
        }

    def _lengths(self, path: _Path, places: PerSample, share: Share) -> PerSample:
        images = []
        for where in (places, places + self.epsilon):
            torch.manual_seed(share.seed)  # the same noise at both ends
            images.append(path.at(where).float())
        start, end = images
        return path_lengths(
            start, end, distance=self.distance.to(start.device), epsilon=self.epsilon, crop_faces=self.crop_faces
        )

    def titles(self) -> dict[str, str]:
        name = f"path_length_{self.space}_{self.sampling}"
        return {name: f"perceptual path length in {self.space}{', ends' if self.sampling == 'end' else ''}"}

    def headline(self, numbers: dict[str, float]) -> str:
        return f"path length in {self.space}, {self.sampling}: {next(iter(numbers.values())):.2f}"

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name, space=self.space, sampling=self.sampling)


class LinearSeparability(Measurement):
    """How well planes in z, and in w if the module has styles, separate what a classifier sees in the images.

    The score is ``exp(sum_i H(Y_i|X_i))`` over the classifier's attributes, 1 at best. It needs no real images, but a
    classifier of them, of the attributes that one wants to control; the paper's has 40 of CelebA, and its weights are
    not part of this package. It is frozen, and no part of checkpoints.

    Args:
        classifier: logits `[batch, attributes]`, above 0 where an image has the attribute, of images in about [-1, 1].
        every_kimg: thousands of real images between measurements while fitting; None measures at the end only.
        sample_count: images to generate; 200,000 in the paper.
        kept_share: of the samples, for each attribute, those of which the classifier is surest.
        batch_size: images to generate at once, on each rank. Where networks draw noise, it changes the images.
        seed: latents and noise are a function of it.
        ema: measure the averaged generator, if there is one.
        name: see `Evaluation`.

    Raises:
        ValueError: for settings that cannot be measured, and before training starts for modules that cannot be.
    """

    def __init__(
        self,
        *,
        classifier: nn.Module,
        every_kimg: float | None = None,
        sample_count: int = 200000,
        kept_share: float = 0.5,
        batch_size: int = 100,
        seed: int = 0,
        ema: bool = True,
        name: str = "metrics",
    ) -> None:
        super().__init__(every_kimg=every_kimg, batch_size=batch_size, seed=seed, name=name)
        if not 1 / max(sample_count, 1) <= kept_share <= 1:
            raise ValueError(
                f"{self.title}: kept_share={kept_share} of sample_count={sample_count} leaves none or more"
            )
        self.classifier = classifier.requires_grad_(False).eval()
        self.sample_count = sample_count
        self.kept_share = kept_share
        self.ema = ema

    def check(self, module: LightningModule) -> None:
        _gan(module, asker=self.title)

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        gan = _gan(module, asker=self.title)
        latents, labels = gan.draw_latents(self.sample_count, seed=self.seed)
        points = {"z": FeatureSet().to(module.device)}
        if isinstance(module, StyleBased):
            points["w"] = FeatureSet().to(module.device)
        answers = FeatureSet().to(module.device)
        classifier = self.classifier.to(module.device)
        for share in self.shares(trainer, self.sample_count):
            here = latents[share.positions]
            classes = None if labels is None else labels[share.positions]
            points["z"].update(here, share.filed)
            with trainer.precision_plugin.forward_context():
                images = gan.sample(here, classes, ema=self.ema)
                if isinstance(module, StyleBased):
                    # Every layer has the same style.
                    points["w"].update(module.styles(here, classes, ema=self.ema)[:, 0], share.filed)
            logits = classifier(images.float())
            answers.update(logits.reshape(len(images), -1), share.filed)
        logits = gathered(trainer, module, answers)
        found = {space: gathered(trainer, module, features) for space, features in points.items()}
        if not trainer.is_global_zero:
            return {}
        scores = {
            f"separability_{space}": linear_separability(place, logits, kept_share=self.kept_share)[0].item()
            for space, place in found.items()
        }
        return {
            "classifier": type(self.classifier).__name__,
            "attributes": logits.shape[1],
            "sample_count": self.sample_count,
            "kept_share": self.kept_share,
            "seed": self.seed,
            "ema": host_of(module).uses_average(trainer, ema=self.ema),
            "metrics": scores,
        }

    def titles(self) -> dict[str, str]:
        return {f"separability_{space}": f"linear separability in {space}" for space in ("z", "w")}

    def headline(self, numbers: dict[str, float]) -> str:
        return ", ".join(f"linear separability in {name[-1]} {score:.2f}" for name, score in numbers.items())
