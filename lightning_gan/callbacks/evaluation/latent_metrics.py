"""The metrics of disentanglement: perceptual path length and linear separability.

Karras et al. 2019 (StyleGAN, arXiv:1812.04948), section 4. `lightning_gan.metrics` holds the mathematics.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_gan.callbacks.evaluation.finite_images import ImageCount
from lightning_gan.callbacks.evaluation.gathering import gathered
from lightning_gan.callbacks.evaluation.guarded import applied
from lightning_gan.callbacks.evaluation.measurement import Measurement, Share
from lightning_gan.compat import state_key_of
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.style_based import StyleBased, style_based_of
from lightning_gan.metrics import FeatureSet
from lightning_gan.metrics.linear_separability import linear_separability
from lightning_gan.metrics.perceptual_path import mean_without_extremes, path_lengths
from lightning_gan.metrics.report import Better, Record
from lightning_gan.tensors.precision import unrounded_fp32
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images, Labels, Latents, PerSample

TRIED = 2
"""Number of samples that are measured before training, to refuse what cannot be measured."""


def _gan(module: LightningModule, *, asker: str) -> GAN:
    """The module as a `GAN` that generates images from latents.

    Raises:
        ValueError: if it generates no images, or is no `GAN`.
    """
    host = host_of(module)
    host.check_makes_images(asker)
    return host.gan(asker, problem="its latents are not known", remedy="leave this callback out")


class _Path(ABC):
    """The images on the paths between pairs of latents."""

    @abstractmethod
    def at(self, places: PerSample) -> Images:
        """Generates one image per path, at a position from 0 (the first latent) to 1 (the second)."""


class _LatentPath(_Path):
    """The paths of the model's prior in z."""

    def __init__(self, module: GAN, first: Latents, second: Latents, labels: Labels | None, *, ema: bool) -> None:
        # In float64, on the CPU because not every device has it: the fp32 rounding of the angle may exceed the step.
        self.first, self.second = first.cpu().double(), second.cpu().double()
        self.module, self.labels, self.ema = module, labels, ema

    def at(self, places: PerSample) -> Images:
        latents = self.module.latents_between(self.first, self.second, places.cpu().double())
        return self.module.sample(
            latents.to(next(self.module.generator.parameters())),
            self.labels,
            fresh_noise=True,
            clipped=False,
            ema=self.ema,
        )


class _StylePath(_Path):
    """Straight lines in w."""

    def __init__(self, module: GAN, first: Latents, second: Latents, labels: Labels | None, *, ema: bool) -> None:
        self.module, self.ema = style_based_of(module, asker="PerceptualPathLength", remedy="set space: z"), ema
        weight = next(module.generator.parameters())
        self.first, self.second = (self.module.styles(z.to(weight), labels, ema=ema) for z in (first, second))

    def at(self, places: PerSample) -> Images:
        places = places.to(self.first)[:, None, None]
        return self.module.synthesize(self.first.lerp(self.second, places), fresh_noise=True, ema=self.ema)


class PerceptualPathLength(Measurement):
    """Measures the perceptual path length (PPL): the perceptual distance per short step between latents, in z or in w.

    Karras et al. 2019 (arXiv:1812.04948), section 4.1, equations 2 and 3. No real images are needed. In z, paths are
    those of the model's prior (`latents_between`): for normal latents great circles of radius sqrt(latent_dim); in w,
    they are straight lines between styles. Both images of a step get the same noise and labels. Networks run in fp32,
    whatever precision they train in, because mixed precision would round the step to 0.

    Only lengths of the same distance are comparable. The papers use LPIPS on VGG-16: give
    `lightning_gan.metrics.LpipsDistance`, whose weights are not part of this package (`download: true` fetches them).
    On digits, give `lightning_gan.metrics.DigitDistance`.

    Args:
        distance: network that returns one number per pair of images from two image batches. Images are float in about
            [-1, 1], neither clipped nor rounded, at most about 256 pixels high. It is frozen and not saved in
            checkpoints.
        space: space of the paths: z for any `GAN`, w for a `StyleBased` one such as `StyleGAN`.
        sampling: position of the steps: full takes random positions on the paths, end takes the beginning of each path.
        crop_faces: whether images are cropped to the face, as in the papers on CelebA-HQ and FFHQ.
        epsilon: length of a step as a share of the path, above 0.
        discarded_share: share of the lengths that the mean leaves out at each end, from 0 to below 0.5: that share of
            the smallest and that share of the largest.
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        pair_count: number of pairs of latents; the authors use 50,000 and more.
        batch_size: number of pairs that each rank measures at once. If networks draw noise, it changes the images.
        seed: integer that determines the latents, the positions and the noise.
        ema: whether the averaged generator is measured, if there is one.
        name: prefix of the logged names, and name of the JSON file; two evaluations in one run need different names.

    Raises:
        ValueError: for settings out of range, and before training starts for modules that cannot be measured and for
            weights in half precision.
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
                f"{self.title}: precision={trainer.precision} rounds a step of epsilon={self.epsilon} to 0; train with "
                "'32-true' or mixed precision"
            )

    def check(self, module: LightningModule) -> None:
        _gan(module, asker=self.title)
        if self.space == "w":
            style_based_of(module, asker=self.title, remedy="they are the space w; set space: z")

    def try_out(self, trainer: Trainer, module: LightningModule) -> None:
        self._all_lengths(trainer, module, count=TRIED)

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        lengths = self._all_lengths(trainer, module, count=self.pair_count)
        if not trainer.is_global_zero:
            return {}
        length = mean_without_extremes(lengths, share=self.discarded_share).item()
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

    def _all_lengths(self, trainer: Trainer, module: LightningModule, *, count: int) -> PerSample:
        """The lengths of `count` paths on rank 0; none on other ranks."""
        gan = _gan(module, asker=self.title)
        first, labels = gan.draw_latents(count, seed=self.seed)
        second, _ = gan.draw_latents(count, seed=derived_seed(self.seed, "second ends"))
        places = torch.zeros(count)
        if self.sampling == "full":
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "places"))
            places = torch.rand(count, generator=generator)
        path = _StylePath if self.space == "w" else _LatentPath
        features = FeatureSet().to(module.device)
        images = ImageCount(asker=self.title, what="generated images")
        with unrounded_fp32():  # TF32 rounds by more than the effect of a step of 1e-4
            for share in self.shares(trainer, count):
                here = share.positions
                ends = first[here], second[here]
                steps = path(gan, *ends, None if labels is None else labels[here], ema=self.ema)
                lengths = self._lengths(steps, places[here].to(module.device), share, images=images)
                features.update(lengths[:, None], share.filed)
        images.check(trainer, module, kimg=self.kimg)
        return gathered(trainer, module, features)[:, 0]

    def _lengths(self, path: _Path, places: PerSample, share: Share, *, images: ImageCount) -> PerSample:
        ends = []
        for where in (places, places + self.epsilon):
            torch.manual_seed(share.seed)  # the same noise at both ends
            ends.append(images.read(path.at(where).float(), counted=share.filed >= 0))
        distance = self.distance.to(ends[0].device)

        def apart(first: Images, second: Images) -> PerSample:
            return applied(distance, first, second, asker=self.title, setting="distance")

        return path_lengths(*ends, distance=apart, epsilon=self.epsilon, crop_faces=self.crop_faces)

    def titles(self) -> dict[str, str]:
        name = f"path_length_{self.space}_{self.sampling}"
        return {name: f"perceptual path length in {self.space}{', ends' if self.sampling == 'end' else ''}"}

    def better(self) -> dict[str, Better]:
        return {f"path_length_{self.space}_{self.sampling}": "less"}

    def headline(self, numbers: dict[str, float]) -> str:
        return f"path length in {self.space}, {self.sampling}: {next(iter(numbers.values())):.2f}"

    @property
    def state_key(self) -> str:
        return state_key_of(self, name=self.name, space=self.space, sampling=self.sampling)


class LinearSeparability(Measurement):
    """Measures how well planes in z, and in w if the module has styles, separate the attributes of the images.

    Karras et al. 2019 (arXiv:1812.04948), section 4.2. The score is ``exp(sum_i H(Y_i|X_i))``, in nats, over the
    attributes of a classifier; the best score is 1. No real images are needed, but a classifier of the attributes. The
    paper's classifier has 40 attributes of CelebA; its weights are not part of this package.

    Args:
        classifier: network that returns logits `[batch, attributes]`, above 0 if an image has the attribute, from
            images in about [-1, 1]. It is frozen and not saved in checkpoints.
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        sample_count: number of images to generate; 200,000 in the paper.
        kept_share: share of the samples that is kept for each attribute, in (0, 1]; kept are those with the largest
            absolute logit.
        batch_size: number of images that each rank generates at once. If networks draw noise, it changes the images.
        seed: integer that determines the latents and the noise.
        ema: whether the averaged generator is measured, if there is one.
        name: prefix of the logged names, and name of the JSON file; two evaluations in one run need different names.

    Raises:
        ValueError: for settings out of range, and before training starts for modules that cannot be measured.
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
                f"{self.title}: kept_share={kept_share} of sample_count={sample_count} must keep at least one sample "
                "and at most all; give a share in (0, 1]"
            )
        self.classifier = classifier.requires_grad_(False).eval()
        self.sample_count = sample_count
        self.kept_share = kept_share
        self.ema = ema

    def check(self, module: LightningModule) -> None:
        _gan(module, asker=self.title)

    def try_out(self, trainer: Trainer, module: LightningModule) -> None:
        self._classified(trainer, module, count=TRIED)

    def measured(self, trainer: Trainer, module: LightningModule) -> Record:
        found, logits = self._classified(trainer, module, count=self.sample_count)
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

    def _classified(self, trainer: Trainer, module: LightningModule, *, count: int) -> tuple[dict[str, Tensor], Tensor]:
        """The latents of `count` images in each space, and the images' logits, on rank 0; none on other ranks."""
        gan = _gan(module, asker=self.title)
        latents, labels = gan.draw_latents(count, seed=self.seed)
        generated = ImageCount(asker=self.title, what="generated images")
        described = ImageCount(asker=self.title, what="logits of generated images")
        points = {"z": FeatureSet().to(module.device)}
        if isinstance(module, StyleBased):
            points["w"] = FeatureSet().to(module.device)
        answers = FeatureSet().to(module.device)
        classifier = self.classifier.to(module.device)
        for share in self.shares(trainer, count):
            here = latents[share.positions]
            classes = None if labels is None else labels[share.positions]
            points["z"].update(here, share.filed)
            with trainer.precision_plugin.forward_context():
                images = gan.sample(here, classes, fresh_noise=True, clipped=False, ema=self.ema)
                if isinstance(module, StyleBased):
                    # All layers have the same style, so that of the first layer is enough.
                    points["w"].update(module.styles(here, classes, ema=self.ema)[:, 0], share.filed)
            images = generated.read(images.float(), counted=share.filed >= 0)
            logits = applied(classifier, images, asker=self.title, setting="classifier")
            if logits.dim() == 0 or len(logits) != len(images):
                raise ValueError(
                    f"{self.title}: classifier {type(classifier).__name__} returned {list(logits.shape)} for "
                    f"{len(images)} images; it must return logits [batch, attributes]"
                )
            logits = described.read(logits.reshape(len(images), -1), counted=share.filed >= 0)
            answers.update(logits, share.filed)
        for images_or_logits in (generated, described):
            images_or_logits.check(trainer, module, kimg=self.kimg)
        found = {space: gathered(trainer, module, features) for space, features in points.items()}
        return found, gathered(trainer, module, answers)

    def titles(self) -> dict[str, str]:
        return {f"separability_{space}": f"linear separability in {space}" for space in ("z", "w")}

    def better(self) -> dict[str, Better]:
        return {"separability_z": "less", "separability_w": "less"}

    def headline(self, numbers: dict[str, float]) -> str:
        return ", ".join(f"linear separability in {name[-1]} {score:.2f}" for name, score in numbers.items())
