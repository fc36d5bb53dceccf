"""Path length regularization: whom it moves, its running mean, and the networks it names."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks.regularizers.path_length import PathLength
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.callbacks.regularizers.regularizers import assert_resumes, moved_by
from tests.penalties.turns import turn_of
from tests.toys import LATENT, SIZE, ToyCritic, equal, fast_adam, toy_loader, toy_trainer


class Mapping(nn.Module):
    """A latent to its style; to one for each of `layers`, if there are any."""

    def __init__(self, *, layers: int = 0) -> None:
        super().__init__()
        self.layers = layers
        self.output = nn.Linear(LATENT, 3)

    def forward(self, latents: Tensor) -> Tensor:
        style: Tensor = self.output(latents).tanh()
        return style[:, None].expand(-1, self.layers, -1) if self.layers else style


class Synthesis(nn.Module):
    """One style for each of two layers to grey 4x4 images."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, SIZE * SIZE)
        self.second = nn.Linear(3, SIZE * SIZE)

    def forward(self, styles: Tensor) -> Tensor:
        images: Tensor = self.first(styles[:, 0]) + self.second(styles[:, 1])
        return images.view(-1, 1, SIZE, SIZE)


class CountingSynthesis(Synthesis):
    """It says how many layers it has."""

    active_layers = 2


class StyleToy(nn.Module):
    def __init__(self, mapping: nn.Module, synthesis: nn.Module) -> None:
        super().__init__()
        self.mapping = mapping
        self.synthesis = synthesis

    def forward(self, latents: Tensor) -> Tensor:
        styles = self.mapping(latents)
        images: Tensor = self.synthesis(styles[:, None].expand(-1, 2, -1) if styles.dim() == 2 else styles)
        return images


def style_gan(*, repeats: bool = False, accumulate_slices: int = 1) -> GAN:
    torch.manual_seed(7)
    generator = StyleToy(Mapping(layers=2), Synthesis()) if repeats else StyleToy(Mapping(), CountingSynthesis())
    return GAN(
        generator=generator,
        discriminator=ToyCritic(),
        latent_dim=LATENT,
        training=Training(
            generator_optimizer=fast_adam, discriminator_optimizer=fast_adam, accumulate_slices=accumulate_slices
        ),
    )


def look(penalty: PathLength, module: GAN, *, count: int = 8) -> Tensor:
    penalty.setup(toy_trainer(), module, "fit")
    latents = torch.randn(count, LATENT, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(3)
    return penalty.penalty(
        turn_of(
            "generator",
            critic=module.discriminator,
            generator=module.generator,
            real=torch.zeros(count, 1, SIZE, SIZE),
            latents=latents,
        )
    )


@pytest.mark.parametrize("repeats", [False, True])
def test_it_is_the_spread_of_lengths_around_the_moved_mean(repeats: bool) -> None:
    """Synthesis is linear: the gradient by each layer's style is its matrix times the noise."""
    module, penalty = style_gan(repeats=repeats), PathLength(decay=0.25, batch_shrink=2)
    value = look(penalty, module)
    torch.manual_seed(3)
    noise = torch.randn(4, SIZE * SIZE) / SIZE
    synthesis = module.generator.synthesis
    gradients = torch.stack([noise @ layer.weight for layer in (synthesis.first, synthesis.second)])  # type: ignore[operator, union-attr]
    lengths = gradients.square().sum(dim=2).mean(dim=0).sqrt()
    torch.testing.assert_close(value, (lengths - 0.25 * lengths.mean()).square().mean())


def test_its_gradient_is_that_of_finite_differences() -> None:
    module = style_gan().double()
    weight = module.generator.mapping.output.weight  # type: ignore[union-attr]
    synthesis = module.generator.synthesis.first.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor) and isinstance(synthesis, Tensor)
    penalty = PathLength()
    penalty.state = penalty.state.double()

    def value() -> Tensor:
        penalty.setup(toy_trainer(), module, "fit")
        torch.manual_seed(3)
        zeros = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.float64)
        latents = torch.ones(2, LATENT, dtype=torch.float64)
        return penalty.penalty(
            turn_of("generator", critic=module.discriminator, generator=module.generator, real=zeros, latents=latents)
        )

    (gradient,) = torch.autograd.grad(value(), synthesis)
    with torch.no_grad():
        synthesis[2, 1] += 1e-5
    above = value().item()
    with torch.no_grad():
        synthesis[2, 1] -= 2e-5
    assert gradient[2, 1].item() == pytest.approx((above - value().item()) / 2e-5, rel=1e-5)


def test_it_moves_the_generator_in_its_own_turns_alone() -> None:
    plain = moved_by(module=style_gan(), batches=1)
    regular = moved_by(PathLength(weight=100.0), module=style_gan(), batches=1)
    assert equal(plain["discriminator"], regular["discriminator"])
    assert not equal(plain["generator"], regular["generator"])
    lazy = PathLength(every_n_turns=2)
    assert [lazy.is_due(player) for player in ("discriminator", "generator") * 3] == [
        False,
        True,
        False,
        False,
        False,
        True,
    ]


def test_the_mean_moves_once_in_every_turn_it_joins_and_is_logged() -> None:
    module, penalty = style_gan(), PathLength(decay=0.5, every_n_turns=2)
    means: list[float] = []
    penalty_after = penalty.after_step
    penalty.after_step = lambda strategy: (penalty_after(strategy), means.append(penalty.state.item()))[0]  # type: ignore[method-assign]
    trainer = toy_trainer(penalty, limit_train_batches=5)
    trainer.fit(module, toy_loader())
    assert len(means) == 3 and 0 < means[0] < means[1]
    assert trainer.callback_metrics["generator/path_length_mean"].item() == means[-1]


def test_slices_of_a_turn_move_the_mean_like_one_batch() -> None:
    module, penalty = style_gan(accumulate_slices=2), PathLength(decay=0.5)
    value = toy_trainer(penalty, limit_train_batches=1)
    measured: list[float] = []
    measure = penalty.measure
    penalty.measure = lambda mean: (measure(mean), measured.append(mean.item()))[0]  # type: ignore[method-assign]
    value.fit(module, toy_loader())
    assert len(measured) == 2
    assert penalty.state.item() == pytest.approx(sum(measured) / 2)


def test_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(lambda: PathLength(every_n_turns=3), tmp_path, make=style_gan)


def test_the_authors_weight_is_the_papers_times_the_styles_and_pixels() -> None:
    """``ln 2 / (r^2 (ln r - ln 2))`` is 2 for noise of 1 / r and a mean over the ``2 log2 r - 2`` layers (app. B)."""
    assert PathLength().weight == 2.0 and PathLength().batch_shrink == 2
    assert PathLength().decay == 0.01 and PathLength().every_n_turns == 4
    for resolution, expected in ((256, 2.1798e-6), (1024, 1.0596e-7)):
        of_the_paper = math.log(2) / (resolution**2 * (math.log(resolution) - math.log(2)))
        assert of_the_paper == pytest.approx(expected, rel=1e-4)
        layers = 2 * math.log2(resolution) - 2
        assert of_the_paper == pytest.approx(PathLength().weight / (resolution**2 * layers))


def test_bad_settings_and_networks_are_refused_before_the_first_step() -> None:
    for settings, message in [
        ({"weight": -1.0}, "weight -1.0"),
        ({"decay": 0.0}, "decay=0.0"),
        ({"batch_shrink": 0}, "batch_shrink=0"),
    ]:
        with pytest.raises(ValueError, match=message):
            PathLength(**settings)
    with pytest.raises(ValueError, match=r"GAN has no network 'generator\.style'"):
        look(PathLength(mapping="generator.style"), style_gan())
    module = style_gan()
    module.generator.synthesis = Synthesis()
    with pytest.raises(ValueError, match="has no active_layers"):
        look(PathLength(), module)
