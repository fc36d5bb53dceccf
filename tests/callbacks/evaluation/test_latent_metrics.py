"""Perceptual path length and linear separability of a model, for generators whose numbers are known."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn

from lightning_gan.callbacks.evaluation.latent_metrics import (
    LinearSeparability,
    PerceptualPathLength,
)
from lightning_gan.loop.gan import GAN
from lightning_gan.models.bigan import BiGAN, Perceptrons
from lightning_gan.models.stylegan import StyleGAN
from tests.toys import ToyCritic, equal, toy_gan, toy_loader, toy_trainer, weights_of

DIMENSIONS = 16


class Unfolded(nn.Module):
    """The latent itself as a 4 x 4 image, with or without noise of its own."""

    def __init__(self, *, noise: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.noise = noise

    def forward(self, latents: Tensor) -> Tensor:
        images = self.scale * latents.view(-1, 1, 4, 4)
        return images + self.noise * torch.randn_like(images)


class SquaredDistance(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        assert first.dtype == torch.float32
        return (first - second).square().sum(dim=(1, 2, 3))


class Signs(nn.Module):
    """Attributes of unfolded latents: their first number, and the product of the next two, which no plane separates."""

    def forward(self, images: Tensor) -> Tensor:
        latents = images.flatten(1)
        return torch.stack([latents[:, 0], latents[:, 1] * latents[:, 2]], dim=1)


def unfolded(*, noise: float = 0.0) -> GAN:
    torch.manual_seed(7)
    return GAN(generator=Unfolded(noise=noise), discriminator=ToyCritic(), latent_dim=DIMENSIONS)


def style_gan(**settings: Any) -> StyleGAN:
    torch.manual_seed(2)
    small: dict[str, Any] = {"latent_dim": 4, "style_dim": 4, "mapping_layers": 1, "mapping_width": 4}
    return StyleGAN(image_size=8, image_channels=1, channel_base=16, channel_max=4, **{**small, **settings})


def bigan(*, latent_dim: int = DIMENSIONS) -> BiGAN:
    torch.manual_seed(3)
    return BiGAN(image_size=4, latent_dim=latent_dim, architecture=Perceptrons(width=5))


def path_length(**settings: Any) -> PerceptualPathLength:
    small: dict[str, Any] = {"distance": SquaredDistance(), "space": "z", "pair_count": 40, "batch_size": 8}
    return PerceptualPathLength(**{**small, **settings})


def separability(**settings: Any) -> LinearSeparability:
    return LinearSeparability(**{"classifier": Signs(), "sample_count": 4000, "batch_size": 2000, **settings})


def measure(callback: Callback, folder: Path, module: LightningModule | None = None, **settings: Any) -> dict[str, Any]:
    trainer = toy_trainer(callback, default_root_dir=str(folder), **settings)
    trainer.test(module if module is not None else unfolded(), toy_loader(8), verbose=False)
    record: dict[str, Any] = json.loads((folder / "metrics.json").read_text())[-1]
    return record


def test_unfolded_latents_move_by_the_squared_angle_between_them(tmp_path: Path) -> None:
    """On a sphere of squared radius d every pair moves by d times its squared angle."""
    record = measure(path_length(discarded_share=0.0, epsilon=1e-2), tmp_path)
    # Independent directions in d dimensions are at right angles on average, give or take 1 / sqrt(d).
    expected = DIMENSIONS * ((math.pi / 2) ** 2 + 1 / DIMENSIONS)
    assert record["metrics"]["path_length_z_full"] == pytest.approx(expected, rel=0.1)
    del record["metrics"], record["weights"]
    assert record == {
        "stage": "test",
        "kimg": 0.0,
        "checkpoint": None,
        "trained_here": False,
        "space": "z",
        "sampling": "full",
        "distance": "SquaredDistance",
        "crop_faces": False,
        "epsilon": 0.01,
        "discarded_share": 0.0,
        "pair_count": 40,
        "seed": 0,
        "ema": False,
    }


def test_uniform_latents_stay_uniform_along_bigans_paths() -> None:
    """With its 50 latents, 38 % of the numbers on the paths of normal latents are outside of [-1, 1]."""
    module = bigan(latent_dim=50)
    random = torch.Generator().manual_seed(0)
    first, second = (2 * torch.rand(4000, 50, dtype=torch.float64, generator=random) - 1 for _ in range(2))
    places = torch.rand(4000, dtype=torch.float64, generator=random)
    outside = GAN.latents_between(module, first, second, places).abs() > 1
    assert outside.double().mean().item() == pytest.approx(0.38, abs=0.005)
    for where in (torch.zeros_like(places), places, torch.full_like(places, 0.5)):
        numbers = module.latents_between(first, second, where).flatten()
        assert numbers.abs().max() < 1
        levels = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
        torch.testing.assert_close(numbers.quantile(levels), 2 * levels - 1, rtol=0, atol=0.01)


def test_bigans_paths_by_hand_by_symmetry_and_at_the_edge_of_the_prior() -> None:
    """erf(1) is the normal number sqrt(2); half way on a quarter of a circle it has become 1."""
    module = bigan(latent_dim=2)
    edge = math.erf(1.0)
    first, second = (torch.tensor([row], dtype=torch.float64) for row in ([edge, 0.0], [0.0, edge]))
    middle = torch.tensor([0.5], dtype=torch.float64)
    expected = [math.erf(1 / math.sqrt(2))] * 2
    assert module.latents_between(first, second, middle)[0].tolist() == pytest.approx(expected, abs=1e-12)
    assert module.latents_between(-first, -second, middle)[0].tolist() == pytest.approx([-x for x in expected])
    early, late = torch.tensor([0.2], dtype=torch.float64), torch.tensor([0.8], dtype=torch.float64)
    forth, back = module.latents_between(first, second, early), module.latents_between(second, first, late)
    torch.testing.assert_close(forth, back)
    assert module.latents_between(-torch.ones_like(first), second, middle).isfinite().all()


def test_a_path_length_in_z_is_measured_on_the_models_own_paths(tmp_path: Path) -> None:
    module, seen = bigan(), []
    module.generator.generator.register_forward_pre_hook(lambda network, inputs: seen.append(inputs[0]))
    measure(path_length(epsilon=1e-2), tmp_path, module)
    tried = 2
    assert len(seen) == tried + 10  # two ends of 40 steps, 8 at once
    assert all(latents.abs().max() < 1 for latents in seen)


def test_on_a_sphere_the_beginning_is_as_long_as_anywhere(tmp_path: Path) -> None:
    full, end = (measure(path_length(sampling=where, epsilon=1e-2), tmp_path)["metrics"] for where in ("full", "end"))
    assert full["path_length_z_full"] == pytest.approx(end["path_length_z_end"], rel=1e-3)


def test_both_ends_of_a_step_have_the_same_noise(tmp_path: Path) -> None:
    quiet, noisy = (
        measure(path_length(epsilon=1e-2), tmp_path, unfolded(noise=noise))["metrics"]["path_length_z_full"]
        for noise in (0.0, 1.0)
    )
    assert noisy == pytest.approx(quiet, rel=1e-3)


def test_the_length_does_not_depend_on_a_small_step(tmp_path: Path) -> None:
    module = style_gan()
    lengths = [
        measure(path_length(space="w", epsilon=epsilon), tmp_path, module)["metrics"]["path_length_w_full"]
        for epsilon in (1e-2, 1e-3)
    ]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.1) and lengths[0] > 0


def test_in_w_paths_are_straight_lines_between_styles(tmp_path: Path) -> None:
    class Linear(StyleGAN):
        """Images are the first layer's style, four times."""

        def synthesize(
            self, styles: Tensor, *, noisy_layers: Any = None, fresh_noise: bool = False, ema: bool = True
        ) -> Tensor:
            return styles[:, 0, :, None, None].expand(-1, -1, 2, 2)

    torch.manual_seed(0)
    module = Linear(image_size=8, image_channels=4, latent_dim=4, style_dim=4, mapping_layers=1, mapping_width=4,
                    channel_base=16, channel_max=4)  # fmt: skip
    record = measure(path_length(space="w", pair_count=300, discarded_share=0.0, epsilon=1e-2), tmp_path, module)
    styles = module.styles(module.draw_latents(3000, seed=9)[0])[:, 0]
    expected = 4 * 2 * styles.var(dim=0).sum().item()  # E |w1 - w0|^2 = 2 Var w, and every style makes four pixels
    assert record["metrics"]["path_length_w_full"] == pytest.approx(expected, rel=0.2)


def test_classes_are_the_same_at_both_ends(tmp_path: Path) -> None:
    module = toy_gan(number_of_classes=3)
    trainer = toy_trainer(path_length(epsilon=1e-2), default_root_dir=str(tmp_path))
    trainer.test(module, toy_loader(8, classes=3), verbose=False)
    length = json.loads((tmp_path / "metrics.json").read_text())[0]["metrics"]["path_length_z_full"]
    assert 0 < length < 1e3  # another class's embedding would count 1 / epsilon^2 times


def test_two_are_measured_side_by_side_and_training_does_not_notice(tmp_path: Path) -> None:
    alone, measured = unfolded(), unfolded()
    for module, callbacks in ((alone, []), (measured, [path_length(every_kimg=0.02), path_length(sampling="end")])):
        trainer = toy_trainer(*callbacks, default_root_dir=str(tmp_path), limit_train_batches=10, limit_val_batches=0)
        trainer.fit(module, toy_loader())
    assert equal(weights_of(alone), weights_of(measured))
    records = json.loads((tmp_path / "metrics.json").read_text())
    assert [(record["kimg"], record["sampling"]) for record in records] == [
        (0.02, "full"),
        (0.04, "full"),
        (0.04, "end"),
    ]


def test_styles_of_a_module_without_them_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"GAN has no styles; they are the space w; set space: z"):
        measure(path_length(space="w"), tmp_path)


def test_half_precision_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"precision=bf16-true rounds a step of epsilon=0\.0001 to 0"):
        measure(path_length(), tmp_path, precision="bf16-true")


def test_mixed_precision_does_not_reach_the_networks(tmp_path: Path) -> None:
    mixed, full = (
        measure(path_length(space="w"), tmp_path, style_gan(), precision=precision)["metrics"]["path_length_w_full"]
        for precision in ("bf16-mixed", "32-true")
    )
    assert mixed == full


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 0.0}, "epsilon=0.0 must be above 0"),
        ({"discarded_share": 0.5}, "discarded_share=0.5"),
        ({"pair_count": 0}, "pair_count=0 must be at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        path_length(**settings)


# ------------------------------------------------------------------ linear separability


def test_a_direction_costs_nothing_and_what_no_plane_finds_costs_a_factor_of_two(tmp_path: Path) -> None:
    record = measure(separability(), tmp_path)
    assert record["metrics"] == {"separability_z": pytest.approx(2.0, abs=0.03)}
    assert (record["attributes"], record["classifier"], record["kept_share"]) == (2, "Signs", 0.5)


def test_w_is_judged_where_there_is_one(tmp_path: Path) -> None:
    record = measure(separability(sample_count=200, batch_size=100), tmp_path, style_gan())
    assert record["metrics"].keys() == {"separability_z", "separability_w"}
    assert all(1 <= score <= 4 + 1e-9 for score in record["metrics"].values())


def test_a_share_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kept_share=0.0 of sample_count=4000"):
        separability(kept_share=0.0)


@pytest.mark.parametrize("callback", [path_length(), separability()])
def test_modules_whose_latents_are_unknown_are_refused(callback: Callback, tmp_path: Path) -> None:
    class Foreign(LightningModule):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            pass

    with pytest.raises(ValueError, match=r"Foreign is no lightning_gan\.GAN, so its latents are not known"):
        measure(callback, tmp_path, Foreign())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_ranks_report_what_one_process_reports(tmp_path: Path) -> None:
    one = measure(path_length(pair_count=20), tmp_path / "one")
    two = measure(path_length(pair_count=20), tmp_path / "two", strategy="ddp_spawn", devices=2)
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-6)
