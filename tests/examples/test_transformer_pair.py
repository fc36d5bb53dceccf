"""The example of two transformers."""

from pathlib import Path

import pytest
import torch

from tests.examples.running import example_named, numbers_in, printed_by


def test_it_runs_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example_named("transformer_pair").main(total_kimg=0.064)
    assert "after 64 images" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_images_are_rectangles_and_every_token_reaches_the_score() -> None:
    example = example_named("transformer_pair")
    torch.manual_seed(0)
    generator, critic = example.Generator(), example.Critic()
    images = generator(torch.randn(2, example.LATENT_DIM))
    assert images.shape == (2, 1, 16, 24) == example.waves(2).shape
    (slope,) = torch.autograd.grad(critic(images).sum(), images)
    assert (slope.unfold(2, 4, 4).unfold(3, 4, 4).abs().amax(dim=(1, 4, 5)) > 0).all()


@pytest.mark.slow
def test_samples_come_nearer_to_the_real_images(tmp_path: Path) -> None:
    printed = printed_by("transformer_pair", tmp_path)
    (before,) = numbers_in(printed, r"before training: ([\d.]+)")
    (after,) = numbers_in(printed, r"after [\d,]+ images: ([\d.]+)")
    assert after < before / 1.5
