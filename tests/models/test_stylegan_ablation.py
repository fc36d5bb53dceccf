"""Rows B to F of StyleGAN's table 1: what each adds to the one before, and which settings contradict each other."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_gan.cli.configs import shipped_folder
from lightning_gan.layers.normalization import InstanceNorm, PixelNorm
from lightning_gan.models.stylegan import FirstBlock, StyleGAN, SynthesisParts
from tests.models.test_stylegan import SMALL, loader, parameters_of
from tests.toys import equal, toy_trainer, weights_of

ROWS = {
    "B": "stylegan_tuned_baseline",
    "C": "stylegan_mapping_and_styles",
    "D": "stylegan_no_traditional_input",
    "E": "stylegan_noise_inputs",
    "F": None,
}


def settings_of(row: str) -> dict[str, Any]:
    """What the row's configuration sets in the model."""
    name = ROWS[row]
    if name is None:
        return {}
    fragment = yaml.safe_load((Path(str(shipped_folder())) / "addons" / f"{name}.yaml").read_text())
    settings: dict[str, Any] = fragment["model"]["init_args"]
    return {**settings, "parts": SynthesisParts(**settings["parts"])} if "parts" in settings else settings


def of_row(row: str) -> StyleGAN:
    torch.manual_seed(0)
    return StyleGAN(image_size=8, **{**SMALL, **settings_of(row)})


def names_of(row: str) -> set[str]:
    """Kinds of parameters of the row's generator: the last two parts of their names, without numbers."""
    names = (name.split(".") for name, _ in of_row(row).generator.named_parameters())
    return {".".join(part for part in name if not part.isdigit()) for name in names}


def test_every_row_adds_what_the_paper_says() -> None:
    parts = {row: {name for name in names_of(row)} for row in ROWS}
    styles = {
        f"synthesis.{block}.epilogue{index}.style.{kind}"
        for block in ("first", "blocks")
        for index in (0, 1)
        for kind in ("weight", "bias")
    }
    noise = {name.replace("style.weight", "noise_weight") for name in styles if name.endswith("style.weight")}
    mapping = {"mapping.layers.weight", "mapping.layers.bias"}
    assert parts["C"] - parts["B"] == styles | mapping and parts["B"] < parts["C"]
    assert parts["D"] - parts["C"] == {"synthesis.first.constant"}
    assert parts["C"] - parts["D"] == {"synthesis.first.dense.weight"}
    assert parts["E"] - parts["D"] == noise and parts["D"] < parts["E"]
    assert parts["F"] == parts["E"]
    assert [of_row(row).generator.style_mixing for row in ROWS] == [0, 0, 0, 0, 0.9]


@pytest.mark.parametrize("row", ROWS)
def test_rows_differ_in_their_normalization(row: str) -> None:
    expected = PixelNorm if row == "B" else InstanceNorm
    first = of_row(row).generator.synthesis.first
    assert isinstance(first, FirstBlock)
    (normalization,) = first.epilogue0.normalization
    assert isinstance(normalization, expected)


def test_at_full_size_row_b_is_as_large_as_pggan() -> None:
    """PGGAN's generator for 1024x1024 has 23,079,115 parameters: the same layers and biases."""
    with torch.device("meta"):
        assert parameters_of(StyleGAN(image_size=1024, **settings_of("B")).generator) == 23_079_115


@pytest.mark.parametrize("row", ROWS)
def test_every_row_trains_all_of_its_active_parameters(row: str) -> None:
    module = of_row(row)
    before = weights_of(module.generator)
    toy_trainer().fit(module, loader())
    idle = {"synthesis.to_rgb.0.weight", "synthesis.to_rgb.0.bias"}
    for (name, parameter), weight in zip(module.generator.named_parameters(), before, strict=True):
        assert torch.equal(parameter, weight) is (name in idle), name


@pytest.mark.parametrize("row", ROWS)
def test_every_row_can_be_loaded_without_being_told_its_settings(row: str, tmp_path: Path) -> None:
    module = of_row(row)
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    restored = StyleGAN.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert equal(weights_of(module), weights_of(restored))
    latents, _ = module.draw_latents(2, seed=0)
    images = [each.synthesize(each.styles(latents), noisy_layers=()) for each in (module, restored)]
    assert torch.equal(*images)


def test_without_noise_inputs_images_repeat_and_without_styles_w_enters_once() -> None:
    module = of_row("B")
    latents, _ = module.draw_latents(2, seed=0)
    assert torch.equal(module.sample(latents), module.sample(latents))
    assert module.style_resolutions == [4]
    styles = module.styles(latents)
    torch.testing.assert_close(styles.square().mean(dim=2), torch.ones(2, 1))  # the normalized latent
    assert torch.equal(module.synthesize(styles), module.sample(latents, clipped=False))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"parts": {"style_modulation": False}}, ("constant_input=True", "style_modulation=False")),
        (
            {"parts": {"style_modulation": False, "constant_input": False}},
            ("style_mixing=0.9", "style_modulation=False"),
        ),
        ({"mapping_layers": 0, "style_dim": 9}, ("mapping_layers=0", "style_dim=9", "style_dim=8")),
        ({"mapping_layers": 0, "number_of_classes": 2}, ("mapping_layers=0", "style_dim=8", "style_dim=16")),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, Any], named: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as raised:
        parts = SynthesisParts(**settings.get("parts", {}))
        StyleGAN(image_size=8, **{**SMALL, **settings, "parts": parts})
    assert all(setting in str(raised.value) for setting in named)


def test_truncation_without_styles_is_refused() -> None:
    module = of_row("B")
    with pytest.raises(ValueError, match=r"truncation=0.7 with style_modulation=False"):
        module.sample(module.draw_latents(2, seed=0)[0], truncation=0.7)
