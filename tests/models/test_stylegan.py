"""StyleGAN: sizes of the published networks, growing, styles, truncation, labels."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks import R1
from lightning_gan.layers import box_downsample, nearest_upsample
from lightning_gan.layers.blur import Blur
from lightning_gan.layers.progressive import GrowingSizes
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.turn import Player
from lightning_gan.models.stylegan import Discriminator, Generator, StyleGAN
from tests.toys import equal, toy_trainer, weights_of

SMALL: dict[str, Any] = {
    "image_channels": 1,
    "latent_dim": 8,
    "style_dim": 8,
    "mapping_layers": 2,
    "mapping_width": 8,
    "channel_base": 64,
    "channel_max": 8,
}


def small_generator(**settings: Any) -> Generator:
    torch.manual_seed(0)
    generator = StyleGAN(**{"image_size": 16, **SMALL, **settings}).generator
    for name, parameter in generator.named_parameters():
        if name.endswith(("bias", "noise_weight")):
            nn.init.normal_(parameter, std=0.5)
    return generator


def small_discriminator(**settings: Any) -> Discriminator:
    sizes = GrowingSizes(image_size=16, image_channels=1, channel_base=64, channel_max=8)
    torch.manual_seed(0)
    defaults = {"number_of_classes": 0, "minibatch_stddev_group": 4, "minibatch_stddev_within_classes": False}
    return Discriminator(sizes=sizes, **{**defaults, **settings})


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [
        (64, 25_137_935, 22_498_049),
        (128, 25_843_858, 22_941_313),
        (256, 26_086_229, 23_052_353),
        (512, 26_179_768, 23_080_225),
        (1024, 26_219_627, 23_087_249),
    ],
)
def test_parameter_counts_are_the_authors(size: int, generator: int, discriminator: int) -> None:
    with torch.device("meta"):
        module = StyleGAN(image_size=size)
        assert parameters_of(module.generator) == generator
        assert parameters_of(module.discriminator) == discriminator


def test_the_mapping_network_has_its_share() -> None:
    with torch.device("meta"):
        assert parameters_of(StyleGAN(image_size=1024).generator.mapping) == 2_101_248


@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_size_and_channel_count_trains_at_every_level(size: int, channels: int) -> None:
    """Gradients reach exactly the blocks of the active levels."""
    settings = {**SMALL, "image_channels": channels, "image_size": size, "channel_base": 32}
    module = StyleGAN(**settings)
    generator, discriminator = module.generator, module.discriminator
    for resolution in (r for r in (4, 8, 16, 32) if r <= size):
        for fade_in in (0.5, 1.0):
            for network in (generator, discriminator):
                network.grow(resolution, fade_in)
                network.zero_grad()
            images = generator(torch.randn(4, 8))
            assert images.shape == (4, channels, resolution, resolution)
            discriminator(images).sum().backward()
            stage = {4: 0, 8: 1, 16: 2, 32: 3}[resolution]
            heads = {stage, stage - 1} if fade_in < 1 and stage else {stage}
            assert reached(generator.synthesis.blocks) == set(range(stage))
            assert reached(discriminator.blocks) == set(range(stage))
            assert reached(generator.synthesis.to_rgb) == heads
            assert reached(discriminator.from_rgb) == heads


def check_turns(module: StyleGAN, *, stages: Iterable[int], fades: tuple[float, ...] = (0.5, 1.0)) -> None:
    """A turn of each player, on one image, reaches all parameters of the active levels and no others."""
    networks: dict[Player, nn.Module] = {"discriminator": module.discriminator, "generator": module.generator}
    for stage in stages:
        for fade_in in fades:
            size = 4 * 2**stage
            module.grow(size, fade_in)
            for player, network in networks.items():
                module.zero_grad()
                real, fake = torch.randn(2, 1, 3, size, size)
                due = (R1(gamma=10.0),) if player == "discriminator" else ()
                given = fake if player == "discriminator" else None
                reals = Reals(images=real.requires_grad_(), labels=None)
                terms, *_ = module.cost(player, due, reals, Draws(latents=torch.randn(1, 512), labels=None), given)
                torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
                heads = {stage, stage - 1} if fade_in < 1 and stage else {stage}
                for name, parameter in network.named_parameters():
                    owner = re.search(r"(blocks|to_rgb|from_rgb)\.(\d+)\.", name)
                    level = int(owner[2]) if owner else 0
                    is_active = not owner or (level < stage if owner[1] == "blocks" else level in heads)
                    assert (parameter.grad is not None) is is_active, (size, fade_in, name)


def test_at_1024_turns_reach_the_parameters_of_the_active_levels_alone() -> None:
    """On no device: shapes and graphs without numbers."""
    with torch.device("meta"):
        check_turns(StyleGAN(image_size=1024), stages=[1, 8], fades=(0.5,))


@pytest.mark.slow
def test_at_every_level_up_to_1024_turns_reach_the_parameters_of_the_active_levels_alone() -> None:
    check_turns(StyleGAN(image_size=1024), stages=range(9))


def reached(blocks: nn.ModuleList) -> set[int]:
    """The blocks whose every parameter has a gradient; the others must have none at all."""
    having = {i for i, b in enumerate(blocks) if any(p.grad is not None for p in b.parameters())}
    assert all(p.grad is not None for i in having for p in blocks[i].parameters())
    return having


@torch.no_grad()
def test_a_block_that_has_faded_in_a_little_changes_the_image_a_little() -> None:
    generator, latents = small_generator().eval(), torch.randn(2, 8)
    generator.grow(8, 1.0)
    coarse = nearest_upsample(generator(latents, random_noise=False), factor=2)
    generator.grow(16, 1.0)
    fine = generator(latents, random_noise=False)
    for fade_in in (0.01, 0.5, 0.99):
        generator.grow(16, fade_in)
        torch.testing.assert_close(generator(latents, random_noise=False), coarse.lerp(fine, fade_in))


@torch.no_grad()
def test_the_discriminator_fades_between_its_two_entrances() -> None:
    discriminator, images = small_discriminator(), torch.randn(4, 1, 16, 16)
    new = discriminator.blocks[1](discriminator.from_rgb[2](images))
    old = discriminator.from_rgb[1](box_downsample(images, factor=2))
    discriminator.grow(16, 0.3)
    expected = discriminator.last(discriminator.blocks[0](old.lerp(new, 0.3)))
    torch.testing.assert_close(discriminator(images), expected)


@torch.no_grad()
def test_styles_control_their_own_layers() -> None:
    """Another style for the last layers keeps the coarse layers' features, and one for all changes everything."""
    generator = small_generator().eval()
    first, second = generator.mapping(torch.randn(2, 8)).chunk(2)
    styles = first[:, None].expand(-1, 6, -1).clone()
    original = generator.synthesis(styles, random_noise=False)
    assert torch.equal(generator.synthesis(styles, random_noise=False), original)
    styles[:, 5] = second
    assert not torch.allclose(generator.synthesis(styles, random_noise=False), original)


def test_mixing_takes_later_layers_from_the_second_style() -> None:
    generator = small_generator(style_mixing=1.0)
    first, second = torch.zeros(3, 6, 8), torch.ones(3, 8)
    crossovers = set()
    for seed in range(50):
        torch.manual_seed(seed)
        taken = generator._mixed(first, second)[0, :, 0]
        assert taken.tolist() == sorted(taken.tolist())  # zeros, then ones
        crossovers.add(int((taken == 0).sum()))
    assert crossovers == {1, 2, 3, 4, 5}


def test_mixing_happens_as_often_as_asked() -> None:
    generator = small_generator(style_mixing=0.3)
    torch.manual_seed(0)
    mixed = [bool(generator._mixed(torch.zeros(1, 6, 8), torch.ones(1, 8)).any()) for _ in range(2000)]
    assert sum(mixed) / 2000 == pytest.approx(0.3, abs=0.03)


@torch.no_grad()
def test_truncation_draws_the_first_layers_towards_the_mean_style() -> None:
    generator, latents = small_generator().eval(), torch.randn(3, 8)
    generator.w_avg.normal_()
    full = generator(latents, random_noise=False)
    assert torch.equal(generator(latents, truncation=1.0, random_noise=False), full)
    assert torch.equal(generator(latents, truncation=0.5, truncation_layers=0, random_noise=False), full)
    mean = generator.synthesis(generator.w_avg.expand(3, 6, -1), random_noise=False)
    torch.testing.assert_close(generator(latents, truncation=0.0, random_noise=False), mean)
    half = generator(latents, truncation=0.5, random_noise=False)
    styles = generator.w_avg.lerp(generator.mapping(latents), 0.5)[:, None].expand(-1, 6, -1)
    torch.testing.assert_close(half, generator.synthesis(styles, random_noise=False))


def test_the_mean_style_follows_training_alone() -> None:
    generator = small_generator()
    latents = torch.randn(4, 8)
    expected = 0.005 * generator.mapping(latents).mean(dim=0)
    generator.eval()(latents)
    assert generator.w_avg.abs().max() == 0
    generator.train()(latents)
    torch.testing.assert_close(generator.w_avg, expected)


@torch.no_grad()
def test_noise_is_fresh_in_every_call_unless_the_stored_one_is_asked_for() -> None:
    generator, latents = small_generator().eval(), torch.randn(2, 8)
    assert not torch.equal(generator(latents), generator(latents))
    stored = generator(latents, random_noise=False)
    assert torch.equal(stored, generator(latents, random_noise=False))


@torch.no_grad()
def test_labels_change_images_and_logits() -> None:
    generator = small_generator(number_of_classes=3).eval()
    discriminator = small_discriminator(number_of_classes=3)
    latents = torch.randn(1, 8).expand(3, -1)
    images = generator(latents, torch.tensor([0, 0, 1]), random_noise=False)
    assert torch.equal(images[0], images[1])
    assert not torch.allclose(images[0], images[2])
    logits = discriminator(images[:1].expand(3, -1, -1, -1), torch.tensor([0, 1, 2])).flatten()
    assert len(set(logits.tolist())) == 3


def test_a_class_without_samples_gets_no_gradient() -> None:
    discriminator = small_discriminator(number_of_classes=3)
    discriminator(torch.randn(4, 1, 16, 16), torch.tensor([0, 2, 0, 2])).sum().backward()
    by_class = discriminator.last.dense1.weight.grad
    assert by_class is not None
    assert [bool(row.any()) for row in by_class] == [True, False, True]


def test_blur_keeps_a_constant_inside_and_is_a_binomial_filter() -> None:
    impulse = torch.zeros(1, 2, 5, 5)
    impulse[0, 0, 2, 2] = 16
    blurred = Blur()(impulse)
    assert blurred[0, 0, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert blurred[0, 1].abs().max() == 0
    assert Blur()(torch.ones(1, 1, 5, 5))[0, 0, 2, 2] == 1
    # An even number of taps looks further right and down: the impulse moves up and left.
    impulse = torch.zeros(1, 1, 4, 4)
    impulse[0, 0, 2, 2] = 4
    assert Blur((1.0, 1.0))(impulse)[0, 0].tolist() == [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]


@pytest.mark.parametrize("size", [24, 2])
def test_sizes_that_are_no_power_of_two_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size={size}"):
        StyleGAN(image_size=size)


@pytest.mark.parametrize(("setting", "value"), [("style_mixing", 7.0), ("mapping_layers", -1)])
def test_settings_out_of_range_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting}={value}"):
        StyleGAN(**{"image_size": 8, **SMALL, setting: value})


def small_stylegan(**settings: Any) -> StyleGAN:
    torch.manual_seed(0)
    return StyleGAN(image_size=8, **{**SMALL, **settings})


def loader() -> torch.utils.data.DataLoader[Any]:
    images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=4)


def test_training_moves_every_parameter_of_the_active_levels() -> None:
    module = small_stylegan()
    before = weights_of(module.generator), weights_of(module.discriminator)
    toy_trainer().fit(module, loader())
    # Entrances and exits of 4x4 are idle at 8x8; everything else has moved.
    idle = {"synthesis.to_rgb.0.weight", "synthesis.to_rgb.0.bias", "from_rgb.0.conv.weight", "from_rgb.0.conv.bias"}
    for network, old in zip((module.generator, module.discriminator), before, strict=True):
        for (name, parameter), weight in zip(network.named_parameters(), old, strict=True):
            assert torch.equal(parameter, weight) is (name in idle), name


def test_a_checkpoint_remembers_the_level() -> None:
    module = small_stylegan()
    module.grow(8, 0.25)
    state = module.state_dict()
    restored = small_stylegan()
    restored.load_state_dict(state)
    assert (restored.resolution, restored.fade_in) == (8, 0.25)
    assert restored.generator.synthesis.is_fading
    assert equal(weights_of(module), weights_of(restored))


def test_it_can_be_loaded_without_being_told_its_settings(tmp_path: Any) -> None:
    module = small_stylegan(number_of_classes=3)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = StyleGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
    latents, labels = restored.draw_latents(3, seed=0)
    assert restored.sample(latents, labels, truncation=0.5).shape == (3, 1, 8, 8)


def images_of(module: StyleGAN) -> Tensor:
    return module.sample(*module.draw_latents(2, seed=0))


def test_sampling_takes_the_ema_generator_only_if_something_moves_it() -> None:
    module = small_stylegan()
    assert module.sampling_generator is module.generator
    module.averaged = True
    assert module.sampling_generator is module.generator_ema
    assert images_of(module).shape == (2, 1, 8, 8)


def noisy_stylegan(**settings: Any) -> StyleGAN:
    """With weights that let styles, labels and noise all show, and an average that differs from the generator."""
    module = small_stylegan(**settings)
    torch.manual_seed(1)
    for network in (module.generator, module.generator_ema):
        nn.init.normal_(network.w_avg)
        for name, parameter in network.named_parameters():
            if name.endswith(("bias", "noise_weight")):
                nn.init.normal_(parameter, std=0.5)
    module.averaged = True
    return module


@pytest.mark.parametrize("ema", [True, False])
@pytest.mark.parametrize("truncation", [1.0, 0.4])
def test_sampling_is_synthesis_of_styles(truncation: float, ema: bool) -> None:
    module = noisy_stylegan(number_of_classes=3, truncation_layers=3)
    module.train()
    latents, labels = module.draw_latents(3, seed=0)
    styles = module.styles(latents, labels, truncation=truncation, ema=ema)
    for fresh_noise in (False, True):
        torch.manual_seed(4)
        sampled = module.sample(latents, labels, truncation=truncation, fresh_noise=fresh_noise, clipped=False, ema=ema)
        torch.manual_seed(4)
        assert torch.equal(module.synthesize(styles, fresh_noise=fresh_noise, ema=ema), sampled)
    assert module.generator.training  # both leave it as it was
    assert not torch.equal(module.styles(latents, labels, truncation=truncation, ema=not ema), styles)


def test_there_is_a_style_for_every_active_layer() -> None:
    module = noisy_stylegan()
    latents, _ = module.draw_latents(2, seed=0)
    assert module.style_resolutions == [4, 4, 8, 8]
    assert module.styles(latents).shape == (2, 4, 8)
    module.grow(4, 1.0)
    assert module.style_resolutions == [4, 4]
    assert module.styles(latents).shape == (2, 2, 8)


def test_truncated_styles_are_those_of_the_first_layers() -> None:
    module = noisy_stylegan(truncation_layers=3)
    latents, _ = module.draw_latents(2, seed=0)
    full, half = module.styles(latents), module.styles(latents, truncation=0.5)
    torch.testing.assert_close(half[:, :3], (full[:, :3] + module.generator_ema.w_avg) / 2)
    assert torch.equal(half[:, 3:], full[:, 3:])


def test_styles_ask_for_the_labels_that_sampling_asks_for() -> None:
    module = noisy_stylegan(number_of_classes=3)
    latents = torch.randn(2, 8)
    with pytest.raises(ValueError, match="3"):
        module.styles(latents)
    with pytest.raises(ValueError, match="label 3"):
        module.styles(latents, torch.tensor([0, 3]))


def test_noise_can_be_left_to_some_layers() -> None:
    """Without noise images repeat; every layer's noise makes a difference of its own; all layers are the default."""
    module = noisy_stylegan()
    styles = module.styles(module.draw_latents(2, seed=0)[0])

    def images(noisy_layers: list[int] | None) -> Tensor:
        torch.manual_seed(3)
        return module.synthesize(styles, noisy_layers=noisy_layers, fresh_noise=True)

    without = images([])
    assert torch.equal(module.synthesize(styles, noisy_layers=[]), without)  # whatever the random state
    network = module.generator_ema.synthesis
    for layer in range(4):
        with torch.no_grad():
            network.get_buffer(f"noise{layer}").zero_()
        assert not torch.allclose(images([layer]), without)
    stored_zeros = network(styles, random_noise=False)
    torch.testing.assert_close(without, stored_zeros)
    assert torch.equal(images([0, 1, 2, 3]), images(None))


def test_fresh_noise_is_drawn_for_every_image_and_stored_noise_repeats() -> None:
    module = noisy_stylegan()
    styles = module.styles(module.draw_latents(1, seed=0)[0]).expand(2, -1, -1)
    first, second = module.synthesize(styles, fresh_noise=True).unbind()
    assert not torch.allclose(first, second)
    stored, again = module.synthesize(styles).unbind()
    torch.testing.assert_close(stored, again)
    assert not torch.allclose(stored, first)
    first, second = module.synthesize(styles, noisy_layers=()).unbind()
    torch.testing.assert_close(first, second)


def test_images_of_styles_have_a_gradient_if_the_styles_ask_for_it() -> None:
    model = StyleGAN(image_size=16, **SMALL)
    styles = model.styles(torch.randn(2, model.latent_dim))
    assert not model.synthesize(styles).requires_grad
    asking = styles.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.synthesize(asking).sum(), asking)
    assert gradient.abs().sum() > 0
    with torch.no_grad():
        assert not model.synthesize(asking).requires_grad
