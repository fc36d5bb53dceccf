"""One image for each seed, with the same bytes whatever else is made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lightning_gan
from lightning_gan import GAN
from lightning_gan.callbacks.figures.pictures import image_grid
from lightning_gan.inference.chosen_classes import chosen_classes
from lightning_gan.inference.generate import Wanted, generate, image_of
from lightning_gan.inference.trained_model import Device, TrainedModel, trained_model
from lightning_gan.models import (
    DCGAN,
    PGGAN,
    BiGAN,
    BigGAN,
    LayerNormResNetGAN,
    ResNetGAN,
    SemiSupervisedCTGAN,
    SmallCTGAN,
    StyleGAN,
)
from lightning_gan.tensors.image_bytes import to_bytes
from tests.inference.trained import SMALL, in_memory, saved, saved_run, small
from tests.models.test_every_model import small as small_of_every


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.__name__)
def test_an_image_does_not_depend_on_what_else_is_made(kind: type[GAN]) -> None:
    first, second = in_memory(small(kind)), in_memory(small(kind))
    wanted = [wanted_of(first, seed) for seed in range(4)]
    forwards = [image_of(first, one, fresh_noise=False) for one in wanted]
    second.model.sample(5)  # whatever was made before
    backwards = [image_of(second, one, fresh_noise=False) for one in wanted[::-1]][::-1]
    assert all(torch.equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    assert len({bytes(image.flatten().tolist()) for image in forwards}) == 4


def wanted_of(trained: TrainedModel, seed: int, *, truncation: float = 1.0) -> Wanted:
    """The image of a seed in the class that it has by default."""
    classes = trained.model.number_of_classes
    return Wanted(seed=seed, label=seed % classes if classes else None, names_class=False, truncation=truncation)


def test_files_have_the_same_bytes_for_any_selection_and_order_of_seeds(tmp_path: Path) -> None:
    run = str(saved_run(DCGAN, tmp_path / "run"))
    generate(run, str(tmp_path / "all"), seeds="0-6")
    generate(run, str(tmp_path / "some"), seeds="5,2")
    every, some = files_in(tmp_path / "all"), files_in(tmp_path / "some")
    assert list(every) == [f"seed{seed:04d}.png" for seed in range(7)]
    assert some == {name: every[name] for name in ("seed0002.png", "seed0005.png")}
    model = lightning_gan.load(run)
    for seed in range(7):
        latents, _ = model.draw_latents(1, seed=seed)
        expected = to_bytes(model.sample(latents, torch.tensor([seed % 3])))[0]
        assert np.array_equal(pixels_of(tmp_path / "all" / f"seed{seed:04d}.png"), expected.permute(1, 2, 0).numpy())


def pixels_of(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


def test_generators_with_statistics_of_the_batch_get_statistics_of_their_own() -> None:
    untouched = small(ResNetGAN)
    model = in_memory(small(ResNetGAN)).model
    latents, _ = model.draw_latents(6, seed=0)
    alone = torch.cat([model.sample(row[None], clipped=False) for row in latents])
    torch.testing.assert_close(alone, model.sample(latents, clipped=False), rtol=1e-4, atol=1e-5)
    # They are those of a large batch, in which one image makes no difference.
    random = torch.randn(4000, model.latent_dim, generator=torch.Generator().manual_seed(1))
    crowd = untouched.sample(torch.cat([latents, random]), clipped=False)[:6]
    assert (alone - crowd).abs().mean() < 0.05 * (crowd - crowd.mean(dim=0)).abs().mean()


@pytest.mark.parametrize(
    "kind", [ResNetGAN, LayerNormResNetGAN, SmallCTGAN, SemiSupervisedCTGAN], ids=lambda kind: kind.__name__
)
def test_one_image_of_such_a_generator_can_be_made_alone(kind: type[GAN]) -> None:
    trained = in_memory(small_of_every(kind))
    assert image_of(trained, wanted_of(trained, 0), fresh_noise=False).float().std() > 0


def test_models_that_grow_make_images_of_the_active_resolution(tmp_path: Path) -> None:
    model = small(PGGAN)
    model.grow(8, 0.5)
    saved(model, tmp_path / "grown.ckpt")
    generate(str(tmp_path / "grown.ckpt"), str(tmp_path / "out"), seeds="0")
    assert pixels_of(tmp_path / "out" / "seed0000.png").shape == (8, 8, 3)


@pytest.mark.parametrize(("images_seen", "said"), [(48, "0.048 kimg"), (1_234_567, "1,235 kimg")])
def test_the_description_says_how_long_a_model_was_trained(images_seen: int, said: str) -> None:
    model = in_memory(small(DCGAN))
    model.model.images_seen = images_seen
    assert f": 16x16, {said}, averaged weights" in model.description


def test_classes_by_number_by_name_and_all(tmp_path: Path) -> None:
    run = str(saved_run(DCGAN, tmp_path / "run", classes=["cat", "dog", "0"]))
    generate(run, str(tmp_path / "default"), seeds="1,5")
    generate(run, str(tmp_path / "named"), seeds="1,5", classes="dog,0")
    default, named = files_in(tmp_path / "default"), files_in(tmp_path / "named")
    assert list(named) == ["seed0001_class1.png", "seed0001_class2.png", "seed0005_class1.png", "seed0005_class2.png"]
    assert default["seed0001.png"] == named["seed0001_class1.png"]  # 1 modulo 3
    assert default["seed0005.png"] == named["seed0005_class2.png"]
    assert named["seed0001_class1.png"] != named["seed0001_class2.png"]


@pytest.mark.parametrize(
    ("text", "chosen"), [("all", [0, 1, 2]), ("dog", [1]), ("0", [2]), ("2,1", [2, 1]), ("1-2", [1, 2])]
)
def test_a_name_counts_before_a_number(text: str, chosen: list[int]) -> None:
    trained = in_memory(small(DCGAN), class_names=("cat", "dog", "0"))
    assert chosen_classes(text, trained=trained) == chosen


def test_truncation_noise_and_averages_change_images() -> None:
    trained = in_memory(small(StyleGAN))
    one, half = wanted_of(trained, 3), wanted_of(trained, 3, truncation=0.5)
    made = [
        image_of(trained, one, fresh_noise=False),
        image_of(trained, half, fresh_noise=False),
        image_of(trained, one, fresh_noise=True),
        image_of(in_memory(small(StyleGAN), ema=False), one, fresh_noise=False),
    ]
    assert len({bytes(image.flatten().tolist()) for image in made}) == 4
    torch.manual_seed(5)
    assert torch.equal(image_of(trained, one, fresh_noise=True), made[2])


def test_a_sweep_has_a_row_for_each_truncation_and_a_column_for_each_seed(tmp_path: Path) -> None:
    run = saved_run(StyleGAN, tmp_path / "run")
    generate(str(run), str(tmp_path / "sweep.png"), seeds="0-2", truncations="-1,0,1")
    sheet = pixels_of(tmp_path / "sweep.png")
    size = 1024 // 48 * 16  # three images of 16 pixels, enlarged
    cells = sheet[-3 * size - 4 :, -3 * size - 4 :]
    trained = trained_model(str(run), device=Device.cpu, ema=True)
    for row, truncation in enumerate((-1.0, 0.0, 1.0)):
        for column in range(3):
            wanted = wanted_of(trained, column, truncation=truncation)
            image = image_grid(image_of(trained, wanted, fresh_noise=False), columns=1, factor=size // 16).numpy()
            top, left = row * (size + 2), column * (size + 2)
            assert np.array_equal(cells[top : top + size, left : left + size], image)


def test_a_sheet_may_end_with_a_shorter_row(tmp_path: Path) -> None:
    run = saved_run(BiGAN, tmp_path / "run")
    generate(str(run), seeds="0-4", sheet=True, columns=3)
    sheet = pixels_of(run / "generated" / "sheet.png")
    size = 1024 // 24 * 8
    assert sheet.shape == (2 * size + 2, 3 * size + 4, 3)
    assert (sheet[-size:, -size:] == 255).all() and not (sheet[:size, -size:] == 255).all()


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("runs/x/checkpoints/last.ckpt", "runs/x/generated"),
        ("lone.ckpt", "generated"),
    ],
)
def test_files_are_put_beside_the_run_or_here(
    place: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(small(BiGAN), Path(place))
    generate(place, seeds="0")
    assert (tmp_path / folder / "seed0000.png").is_file()


def test_files_with_other_contents_are_kept_unless_they_may_be_overwritten(tmp_path: Path) -> None:
    run = str(saved_run(BiGAN, tmp_path / "run"))
    out = tmp_path / "out"
    generate(run, str(out), seeds="0-2")
    before = files_in(out)
    generate(run, str(out), seeds="0-3")  # the same files, and one more
    (out / "seed0003.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"seed0003.png exists with other contents; .* --overwrite"):
        generate(run, str(out), seeds="0-9")
    assert files_in(out) == before | {"seed0003.png": b"mine"}  # nothing else was written
    generate(run, str(out), seeds="3", overwrite=True)
    assert files_in(out)["seed0003.png"] != b"mine"


def test_broken_weights_are_named_with_the_seed(tmp_path: Path) -> None:
    model = small(BiGAN)
    with torch.no_grad():
        for parameter in model.generator_ema.parameters():
            parameter.fill_(torch.nan)
    saved(model, tmp_path / "broken.ckpt")
    with pytest.raises(ValueError, match=r"seed 7: BiGAN makes values that are not finite .* give an earlier check"):
        generate(str(tmp_path / "broken.ckpt"), str(tmp_path / "out"), seeds="7")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (BiGAN, {"classes": "1"}, "classes=1: BiGAN was trained without classes; leave the option out"),
        (BiGAN, {"truncation": 0.5}, "BiGAN has no truncation trick"),
        (BigGAN, {"truncations": "0,2"}, "truncation=2.0 must be from 0 to 1"),
        (DCGAN, {"classes": "3"}, "classes: '3' is no class of this model; the classes are 0 to 2, or cat, dog, emu$"),
        (DCGAN, {"classes": "Dog"}, "classes: 'Dog' is no class .* did you mean dog?"),
        (DCGAN, {"classes": "0,cat"}, "classes: class 0 is listed twice in 0,cat"),
        (BiGAN, {"columns": 2}, "columns=2 is for a sheet"),
        (BiGAN, {"sheet": True, "columns": 0}, "columns=0 is for a sheet and at least 1"),
        (StyleGAN, {"truncations": "0,1", "truncation": 0.5}, "truncations makes a row for each strength"),
        (BiGAN, {"sheet": True, "columns": 1, "seeds": "0-900"}, "a picture with 901 rows .* more columns"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_file_is_written(
    kind: type[GAN], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run = saved_run(kind, tmp_path / "run", classes=["cat", "dog", "emu"] if kind is DCGAN else None)
    with pytest.raises(ValueError, match=f"^{message}"):
        generate(str(run), **options)
    assert not list(run.glob("generated/*"))
