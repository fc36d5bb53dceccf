"""Images between keyframes: in z, in w and between codes; as strips, animations and videos."""

import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_gan import GAN
from lightning_gan.callbacks.figures.pictures import image_grid
from lightning_gan.inference.interpolate import interpolate
from lightning_gan.inference.keyframes import CodeKeyframes, LatentKeyframes, StyleKeyframes, labels_of, places
from lightning_gan.inference.mixed_styles import style_layers, style_mixing
from lightning_gan.inference.trained_model import TrainedModel
from lightning_gan.metrics.perceptual_path import slerp
from lightning_gan.models import DCGAN, BiGAN, IntroVAE, StyleGAN
from lightning_gan.tensors.image_bytes import to_bytes
from tests.inference.trained import SMALL, in_memory, saved, saved_run, small


def in_z(trained: TrainedModel, *, labels: list[int] | None = None) -> LatentKeyframes:
    return LatentKeyframes(trained, seeds=[3, 8], labels=labels, truncation=1.0)


def test_in_z_paths_are_those_of_the_prior() -> None:
    trained = in_memory(small(DCGAN))
    model = trained.model
    first, second = (model.draw_latents(1, seed=seed)[0] for seed in (3, 8))
    half = slerp(first, second, torch.tensor([0.5])) * math.sqrt(model.latent_dim)
    expected = to_bytes(model.sample(half, torch.tensor([1]), clipped=False))
    assert torch.equal(in_z(trained, labels=[1, 1]).between(0, 1, place=0.5), expected)


def test_between_classes_their_rows_are_interpolated() -> None:
    trained = in_memory(small(DCGAN))
    same, changing = in_z(trained, labels=[0, 0]), in_z(trained, labels=[0, 2])
    end = in_z(trained, labels=[2, 2]).between(0, 1, place=1.0)
    assert torch.equal(changing.between(0, 1, place=0.0), same.between(0, 1, place=0.0))
    assert torch.equal(changing.between(0, 1, place=1.0), end)
    assert not torch.equal(same.between(0, 1, place=1.0), end)
    latents = trained.model.latents_between(same.latents[:1], same.latents[1:], torch.tensor([0.5]))
    expected = trained.model.sample(latents, torch.tensor([[0.5, 0.0, 0.5]]), clipped=False)
    assert torch.equal(changing.between(0, 1, place=0.5), to_bytes(expected))


@pytest.mark.parametrize(
    "kind",
    [kind for kind, settings in SMALL.items() if "number_of_classes" in settings],
    ids=lambda kind: kind.__name__,
)
def test_a_row_of_a_class_makes_the_image_of_the_class(kind: type[GAN]) -> None:
    trained = in_memory(small(kind))
    keyframes = in_z(trained, labels=[2, 0])
    latents = trained.model.latents_between(keyframes.latents[:1], keyframes.latents[1:], torch.tensor([0.0]))
    expected = to_bytes(trained.model.sample(latents, torch.tensor([2]), clipped=False))
    assert (keyframes.between(0, 1, place=0.0).int() - expected.int()).abs().max() <= 1


def test_in_w_paths_are_straight_and_begin_at_the_image_of_generate() -> None:
    trained = in_memory(small(StyleGAN))
    model = trained.model
    assert isinstance(model, StyleGAN)
    keyframes = StyleKeyframes(trained, seeds=[3, 8], labels=[0, 1], truncation=0.7)
    styles = [
        model.styles(model.draw_latents(1, seed=seed)[0], torch.tensor([label]), truncation=0.7)
        for seed, label in ((3, 0), (8, 1))
    ]
    quarter = model.synthesize(styles[0].lerp(styles[1], 0.25))
    assert torch.equal(keyframes.between(0, 1, place=0.25), to_bytes(quarter))
    generated = model.sample(model.draw_latents(1, seed=3)[0], torch.tensor([0]), truncation=0.7, clipped=False)
    assert torch.equal(keyframes.between(0, 1, place=0.0), to_bytes(generated))


@pytest.mark.parametrize("kind", [BiGAN, IntroVAE])
def test_between_images_codes_are_interpolated_as_the_model_does(kind: type[GAN]) -> None:
    trained = in_memory(small(kind))
    _, size, _ = trained.image_shape
    images = torch.rand(2, 1, size, size) * 2 - 1
    keyframes = CodeKeyframes(trained, images=[images[:1], images[1:]])
    assert isinstance(trained.model, BiGAN | IntroVAE)
    expected = to_bytes(trained.model.interpolate(images[:1], images[1:], steps=5)[0])
    made = torch.cat([keyframes.between(0, 1, place=step / 4) for step in range(5)])
    assert (made.int() - expected.int()).abs().max() <= 1  # one at a time, and five at a time


def test_a_way_goes_through_all_keyframes_and_back_if_it_loops() -> None:
    way = list(places(3, frames=4, loop=False))
    assert len(way) == 9 and way[4] == (1, 2, 0.0) and way[-1] == (1, 2, 1.0)
    looped = list(places(3, frames=4, loop=True))
    assert looped[:8] == way[:8] and looped[8:] == [(2, 0, place / 4) for place in range(4)]


def test_keyframes_have_the_classes_of_generate_or_those_that_are_chosen() -> None:
    trained = in_memory(small(DCGAN))
    assert labels_of(trained, [4, 5], None) == [1, 2]
    assert labels_of(trained, [4, 5], [0]) == [0, 0]
    assert labels_of(trained, [4, 5], [2, 0]) == [2, 0]
    assert labels_of(in_memory(small(BiGAN)), [4, 5], None) is None
    with pytest.raises(ValueError, match=r"classes: 2 classes for 3 seeds; give one for all, or one for each"):
        labels_of(trained, [4, 5, 6], [0, 1])


# ------------------------------------------------------------------ files


def frames_of(path: Path) -> list[Any]:
    """The frames of an animation as RGB."""
    with Image.open(path) as animation:
        frames = []
        for number in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")))
        return frames


def test_a_strip_has_a_row_for_each_path(tmp_path: Path) -> None:
    run = saved_run(BiGAN, tmp_path / "run")
    interpolate(str(run), str(tmp_path / "strip.png"), seeds="3,8,1,2", rows=2, frames=3)
    with Image.open(tmp_path / "strip.png") as opened:
        strip = np.asarray(opened)
    size = 1024 // 32 * 8  # four frames of 8 pixels
    assert strip.shape == (2 * size + 2, 4 * size + 6, 3)
    keyframes = in_z(in_memory(small(BiGAN)))
    expected = image_grid(keyframes.between(0, 1, place=1 / 3), columns=1, factor=size // 8).numpy()
    assert np.array_equal(strip[:size, size + 2 : 2 * size + 2], expected.repeat(3, axis=2))


def test_an_animation_has_all_frames_for_the_time_that_was_asked_for(tmp_path: Path) -> None:
    run = saved_run(BiGAN, tmp_path / "run")
    for name in ("a.gif", "b.gif"):
        interpolate(str(run), str(tmp_path / name), seeds="0-3", columns=2, frames=4, fps=25, loop=True)
    frames = frames_of(tmp_path / "a.gif")
    assert [frame.shape for frame in frames] == [(256, 514, 3)] * 8  # with a gap of 2 pixels
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.info["duration"] == 40 and animation.info["loop"] == 0
    assert all(not np.array_equal(one, other) for one, other in pairwise(frames))
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_grey_animations_keep_their_pixels(tmp_path: Path) -> None:
    run = saved_run(BiGAN, tmp_path / "run")
    interpolate(str(run), str(tmp_path / "a.gif"), seeds="3,8", frames=2, fps=30)
    keyframes = in_z(in_memory(small(BiGAN)))
    for frame, place in zip(frames_of(tmp_path / "a.gif"), (0.0, 0.5, 1.0), strict=True):
        expected = image_grid(keyframes.between(0, 1, place=place), columns=1, factor=64).numpy()
        assert np.array_equal(frame, expected.repeat(3, axis=2))
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.info["duration"] == 30


def test_a_video_of_images_of_odd_size_can_be_read(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    saved(small(BiGAN, image_size=7, image_channels=3), tmp_path / "odd.ckpt")
    for name in ("a.mp4", "b.mp4"):
        interpolate(str(tmp_path / "odd.ckpt"), str(tmp_path / name), seeds="3,8", frames=4, fps=12)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 12 and stream.codec.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    keyframes = in_z(in_memory(small(BiGAN, image_size=7, image_channels=3)))
    assert len(frames) == 5 and frames[0].shape == (512, 512, 3)  # 511 and a white line
    expected = image_grid(keyframes.between(0, 1, place=0.5), columns=1, factor=73).numpy()
    # H.264 halves the resolution of colours and rounds; brightness stays.
    difference = frames[2][:511, :511].mean(axis=2) - expected.mean(axis=2)
    assert np.abs(difference).mean() < 6
    assert frames[2][511:].min() > 200


def test_without_av_the_package_is_named_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="av"):
        interpolate("no such checkpoint", str(tmp_path / "a.mp4"))


# ------------------------------------------------------------------ style mixing


def test_mixed_images_have_the_chosen_layers_of_the_source_above() -> None:
    trained = in_memory(small(StyleGAN))
    model = trained.model
    assert isinstance(model, StyleGAN)
    table = style_mixing(trained, layers="0-1,4", seeds=[0, 1], mix_seeds=[7, 8], classes=[1], truncation=1.0)

    def styles(seed: int) -> Tensor:
        return model.styles(model.draw_latents(1, seed=seed)[0], torch.tensor([1]))

    mixed = styles(1).clone()
    mixed[:, [0, 1, 4]] = styles(8)[:, [0, 1, 4]]
    assert torch.equal(table.rows[2][2:3], to_bytes(model.synthesize(mixed)))
    assert torch.equal(table.rows[0][2:3], to_bytes(model.synthesize(styles(8))))
    assert torch.equal(table.rows[2][:1], to_bytes(model.synthesize(styles(1))))
    assert table.corner == "layers 0-1,4\n(4x4 to 16x16)\nfrom above"


def test_layers_that_do_not_exist_are_named() -> None:
    trained = in_memory(small(StyleGAN))
    with pytest.raises(
        ValueError, match=r"mix: there is no layer 6; the layers are 0 to 5, of the resolutions 4, 4, 8"
    ):
        style_layers("2,6", trained=trained, option="mix")
    with pytest.raises(ValueError, match=r"mix: BiGAN has no styles; give a StyleGAN, or leave the option out"):
        style_layers("2", trained=in_memory(small(BiGAN)), option="mix")


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("a.webm", {}, r"a.webm must end in \.png, \.gif, \.mp4"),
        ("a", {}, "a must end in"),
        ("a.gif", {"fps": 60}, "fps=60: a GIF has at most 50 frames per second"),
        ("a.png", {"frames": 0}, "frames=0 must be at least 1"),
        ("a.png", {"mix": "0"}, "mix and mix_seeds belong together"),
        ("a.gif", {"mix": "0", "mix_seeds": "1"}, "mix draws a table"),
        ("a.png", {"images": "a.png,b.png", "seeds": "0-3"}, "images are keyframes in the space of codes"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_model_is_loaded(
    out: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        interpolate("no such checkpoint", out, **options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (BiGAN, {"seeds": "0"}, r"seeds: 1 keyframes for 1 path \(rows x columns\); give 2, 3, 4 ..."),
        (BiGAN, {"seeds": "0-4", "rows": 2}, "seeds: 5 keyframes for 2 paths .* give 4, 6, 8 ..."),
        (DCGAN, {"images": "a.png,b.png"}, "images: DCGAN has no encoder"),
        (BiGAN, {"images": "a.png,b.png"}, "there is no image a.png"),
    ],
)
def test_keyframes_that_make_no_path_are_refused(
    kind: type[GAN], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run = saved_run(kind, tmp_path / "run")
    with pytest.raises(ValueError, match=message):
        interpolate(str(run), str(tmp_path / "a.png"), **options)


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"a.gif exists; give another place, or --overwrite to replace it"):
        interpolate("no such checkpoint", str(tmp_path / "a.gif"), fps=25)
    assert (tmp_path / "a.gif").read_bytes() == b"mine"
