"""R3GAN: sizes of the published networks, initial weights, labels, stages in bf16, and the loss of pairs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks import R1, R2, reconstructed_ema
from lightning_gan.losses import RelativisticStandard
from lightning_gan.models.r3gan import R3GAN
from lightning_gan.models.r3gan_networks import ResidualBlock, branch_gain, default_widths
from tests.models.training import moved_by_one_step, parameters_of
from tests.toys import equal, toy_trainer, weights_of
from tests.two_ranks import assert_same_weights, run_on_one_and_two

SMALL: dict[str, Any] = {
    "image_size": 16,
    "image_channels": 1,
    "latent_dim": 4,
    "label_dim": 3,
    "widths": [8, 4, 4],
    "group_width": 4,
}
IMAGENET: dict[str, Any] = {"number_of_classes": 1000, "group_width": 32}


@pytest.mark.parametrize(
    ("settings", "generator", "discriminator"),
    [
        ({"image_size": 32}, 20_732_160, 20_683_776),
        ({"image_size": 32, "number_of_classes": 10}, 20_781_952, 21_280_512),
        ({"image_size": 64}, 22_429_824, 22_381_440),
        ({"image_size": 256}, 23_057_952, 23_009_568),
        ({"image_size": 32, "widths": [1536] * 4, **IMAGENET}, 82_914_304, 86_548_992),
        ({"image_size": 64, "widths": [1536] * 5, **IMAGENET}, 103_570_432, 107_205_120),
    ],
)
def test_parameter_counts_are_the_authors(settings: dict[str, Any], generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        module = R3GAN(**settings)
    assert parameters_of(module.generator) == generator
    assert parameters_of(module.discriminator) == discriminator


def test_widths_halve_from_64_pixels_on() -> None:
    assert default_widths(32, widest=768) == [768] * 4
    assert default_widths(64, widest=64) == [64, 64, 64, 64, 32]
    assert default_widths(256, widest=768) == [768, 768, 768, 768, 384, 192, 96]


def test_initial_weights_have_the_authors_deviations() -> None:
    """Gain ``sqrt(2 / 1.04) 16^(-1/4)`` in a branch of 16 blocks, whose last convolution is 0, and 1 elsewhere."""
    torch.manual_seed(0)
    module = R3GAN(image_size=32, widths=[256] * 4, blocks_per_stage=4, group_width=64, number_of_classes=9)
    assert branch_gain(16) == 0.5
    gain = (2 / 1.04) ** 0.5 / 2
    block = module.generator.stages[1][1]
    basis, head = module.generator.stages[0][0], module.discriminator.stages[-1][-1]
    embeddings = module.generator.label_embedding, module.discriminator.label_embedding
    assert embeddings[0] is not None and embeddings[1] is not None
    for weight, deviation in [
        (block.conv1.weight, gain / 256**0.5),
        (block.conv2.weight, gain / (9 * 64) ** 0.5),
        (basis.basis, 1.0),
        (basis.linear.weight, 1 / 128**0.5),
        (head.basis, 0.25),
        (head.linear.weight, 1 / 256**0.5),
        (module.discriminator.input.weight, 1 / 3**0.5),
        (embeddings[0].weight, 1 / 3),
        (embeddings[1].weight, 1 / 3 / 256**0.5),
    ]:
        assert weight.std().item() == pytest.approx(deviation, rel=0.1)
    for zero in (block.conv3.weight, block.conv1.bias, block.conv2.bias):
        assert not zero.any()


@torch.no_grad()
def test_a_new_block_is_the_identity() -> None:
    features = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(ResidualBlock(8, group_width=4, blocks=2)(features), features)


@pytest.mark.parametrize("size", [8, 32, 64])
@pytest.mark.parametrize("channels", [1, 5])
def test_every_size_and_channel_count_trains(size: int, channels: int) -> None:
    widths = [8] * (size.bit_length() - 2)
    module = R3GAN(image_size=size, image_channels=channels, widths=widths, group_width=4, latent_dim=4)
    images = module.generator(torch.randn(2, 4))
    assert images.shape == (2, channels, size, size)
    module.discriminator(images).sum().backward()
    for network in (module.generator, module.discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("height", "width", "first"), [(16, 24, (4, 6)), (24, 16, (6, 4)), (20, 12, (5, 3))])
def test_images_of_any_ratio_begin_with_the_block_that_halving_gives(
    height: int, width: int, first: tuple[int, int]
) -> None:
    module = R3GAN(image_size=height, image_width=width, widest=8, group_width=4, latent_dim=4)
    images = module.generator(torch.randn(2, 4))
    assert images.shape == (2, 3, height, width)
    bases = [part for name, part in module.named_parameters() if name.endswith("basis")]
    assert {tuple(basis.shape[1:]) for basis in bases} == {first}
    module.discriminator(images).sum().backward()
    for network in (module.generator, module.discriminator):
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_width_that_is_the_height_is_the_square_of_the_paper() -> None:
    settings = {"image_size": 16, "widest": 8, "group_width": 4, "latent_dim": 4}
    torch.manual_seed(0)
    square = R3GAN(**settings)  # type: ignore[arg-type]
    torch.manual_seed(0)
    same = R3GAN(**settings, image_width=16)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(square.state_dict().values(), same.state_dict().values(), strict=True))


@torch.no_grad()
def fill_last_convolutions(module: R3GAN) -> None:
    """Gives the branches, which begin at 0, weights that count."""
    for block in module.modules():
        if isinstance(block, ResidualBlock):
            block.conv3.weight.normal_(std=0.3)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_moves_every_parameter(classes: int) -> None:
    module = R3GAN(number_of_classes=classes, **SMALL)
    fill_last_convolutions(module)
    moved = moved_by_one_step(module, R1(), R2(), size=16, classes=classes)
    assert [name for name, has_moved in moved.items() if not has_moved] == []


@torch.no_grad()
def test_labels_change_images_and_logits() -> None:
    torch.manual_seed(0)
    module = R3GAN(number_of_classes=3, **SMALL)
    latents = torch.randn(1, 4).expand(3, -1)
    images = module.generator(latents, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = module.discriminator(images[:1].expand(3, -1, -1, -1), torch.tensor([0, 1, 2])).flatten()
    assert len(set(logits.tolist())) == 3
    rows = torch.eye(3)[torch.tensor([0, 0, 1])]
    torch.testing.assert_close(module.generator(latents, rows), images)


def test_both_players_have_the_loss_of_pairs_without_a_half() -> None:
    loss = R3GAN(**SMALL).loss
    assert isinstance(loss, RelativisticStandard)
    real, fake = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 0.5])
    torch.testing.assert_close(loss.discriminator(real, fake), softplus(fake - real).mean())
    torch.testing.assert_close(loss.generator(real, fake), softplus(real - fake).mean())


def test_the_generators_turn_pairs_fakes_with_the_real_images_of_their_labels() -> None:
    """Fakes have the real images' labels, and no gradient of the generator's turn reaches the discriminator."""
    torch.manual_seed(0)
    module = R3GAN(number_of_classes=3, **SMALL)
    seen: list[tuple[str, Tensor, Tensor]] = []
    score_turn = module.score_turn

    def noted(player: Any, reals: Any, draws: Any, fake: Any) -> Any:
        assert torch.equal(reals.labels, draws.labels)
        seen.append((player, reals.images, reals.labels))
        return score_turn(player, reals, draws, fake)

    module.score_turn = noted  # type: ignore[method-assign]
    moved_by_one_step(module, R1(), R2(), size=16, classes=3)
    assert [player for player, _, _ in seen] == ["discriminator", "generator"]
    assert torch.equal(seen[0][1], seen[1][1])  # one batch for both turns, unlike the authors


@torch.no_grad()
def test_stages_in_bf16_round_and_keep_fp32_outside() -> None:
    torch.manual_seed(0)
    exact, rounded = R3GAN(**SMALL), R3GAN(bf16_stages=2, **SMALL)
    fill_last_convolutions(exact)
    rounded.load_state_dict(exact.state_dict())
    latents = torch.randn(8, 4)
    images, similar = exact.generator(latents), rounded.generator(latents)
    assert similar.dtype == torch.float32
    logits, similar_logits = exact.discriminator(images), rounded.discriminator(images)
    assert similar_logits.dtype == torch.float32
    for ours, theirs in ((similar, images), (similar_logits, logits)):
        error = (ours - theirs).abs().max() / theirs.abs().max()
        assert 1e-4 < error < 0.05
    dtypes = []
    for stage in rounded.generator.stages:
        stage[1].register_forward_hook(lambda _, inputs, output: dtypes.append(output.dtype))
    rounded.generator(latents)
    assert dtypes == [torch.float32, torch.bfloat16, torch.bfloat16]


def test_stages_in_bf16_train_with_both_penalties() -> None:
    module = R3GAN(bf16_stages=2, **SMALL)
    fill_last_convolutions(module)
    moved = moved_by_one_step(module, R1(), R2(), size=16, classes=0)
    assert all(moved.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 24}, "image_size=24 must be a power of two"),
        ({"image_size": 4}, "image_size=4"),
        ({"image_size": 34, "image_width": 51}, "images of 51x34 pixels are halved to 51x34"),
        ({"image_size": 16, "image_width": 0}, "image_width=0 must be at least 1"),
        ({"widths": [8, 4]}, r"widths=\[8, 4\] must be 3 numbers"),
        ({"widths": [8, 4, 5]}, "a block of 5 feature maps has 10 inside, which group_width=4 does not divide"),
        ({"blocks_per_stage": [1, 2]}, r"blocks_per_stage=\[1, 2\] must be 3 numbers"),
        ({"blocks_per_stage": 0}, "blocks_per_stage"),
        ({"bf16_stages": 3}, "bf16_stages=3 must be below 3"),
        ({"widths": None, "widest": 7, "group_width": 4}, "widths=\\[7, 7, 7\\]: a block of 7 feature maps"),
        ({"group_width": 0}, "group_width=0 must be at least 1"),
        ({"group_width": [4, 4]}, "group_width=\\[4, 4\\] must be 3 numbers from 1 for image_size=16"),
        ({"group_width": [4, 4, 5]}, "a block of 4 feature maps has 8 inside, which group_width=5 does not divide"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        R3GAN(**{**SMALL, **settings})


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Path) -> None:
    module = R3GAN(number_of_classes=3, **{**SMALL, "blocks_per_stage": [2, 1, 1]})
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = R3GAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))


@pytest.mark.slow
def test_two_ranks_train_as_one_process_does_with_all_schedules_and_averages(tmp_path: Path) -> None:
    run_on_one_and_two("tests.models.r3gan_worker", tmp_path)
    assert_same_weights(tmp_path / "1.pt", tmp_path / "2.pt", relative=1e-6)
    names = [path.name for path in sorted((tmp_path / "averages_1").iterdir())]
    assert names == [path.name for path in sorted((tmp_path / "averages_2").iterdir())] and len(names) == 3
    one, two = (reconstructed_ema(tmp_path / f"averages_{ranks}", relative_width=0.08).tensors for ranks in (1, 2))
    assert all(torch.allclose(one[name], two[name], rtol=1e-6, atol=1e-8) for name in one)
