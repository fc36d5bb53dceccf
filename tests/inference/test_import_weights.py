"""Files in their original formats become models that compute what the authors' own networks computed."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lightning_gan
from lightning_gan.cli import main
from lightning_gan.interop.foreign_file import read_foreign
from lightning_gan.interop.foreign_format import all_formats
from lightning_gan.interop.published_biggan_deep import _config_of
from lightning_gan.layers import nearest_upsample
from lightning_gan.layers.truncated_normal import truncated_latents
from lightning_gan.loop.gan import GAN
from lightning_gan.models import StyleGAN2
from tests.cli.command_line import message_of
from tests.interop import foreign_files as files
from tests.interop import stylegan2_reference
from tests.interop.goldens import Golden, relative_error
from tests.interop.test_biggan_deep_hf import Published, tame_state


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def imported(path: Path, *options: str) -> GAN:
    main(["import", str(path), "out.ckpt", *options])
    return lightning_gan.load("out.ckpt")


def scores(model: GAN, images: Tensor, labels: Tensor | None = None) -> Tensor:
    return model.score(images, labels).flatten()


@pytest.mark.parametrize("lod", [0.0, 1.6])
@torch.no_grad()
def test_pggan(lod: float, tmp_path: Path) -> None:
    golden = Golden("pggan_official")
    model = imported(files.pggan(tmp_path / "pggan.pkl", lod=lod))
    factor = 2 ** math.floor(lod)
    assert (model.resolution, model.fade_in) == (16 // factor, pytest.approx(1 - (lod - math.floor(lod))))
    images = model.sample(golden["input/z"], clipped=False, ema=False)
    assert relative_error(nearest_upsample(images, factor=factor), golden[f"output/lod{lod}/image"]) < 1e-4
    theirs = golden[f"output/lod{lod}/image"][:, :, ::factor, ::factor]
    assert relative_error(scores(model, theirs), golden[f"output/lod{lod}/score"].flatten()) < 1e-4
    assert model.averaged
    for name, value in model.generator.state_dict().items():
        torch.testing.assert_close(model.generator_ema.state_dict()[name], value * 0.5)


@pytest.mark.parametrize("lod", [0.0, 0.3])
@torch.no_grad()
def test_stylegan(lod: float, tmp_path: Path) -> None:
    golden = Golden("stylegan_official")
    model = imported(files.stylegan(tmp_path / "stylegan.pkl", lod=lod))
    assert model.resolution == 16 and model.fade_in == pytest.approx(1 - lod)
    latents = golden["input/z"]
    images = model.sample(latents, clipped=False, ema=False)
    assert relative_error(images, golden[f"output/lod{lod}/image"]) < 1e-4
    truncated = model.sample(latents, truncation=0.7, clipped=False, ema=False)
    assert relative_error(truncated, golden[f"output/lod{lod}/image_psi0.7_cutoff4"]) < 1e-4
    assert relative_error(scores(model, images), golden[f"output/lod{lod}/score"].flatten()) < 1e-4
    assert model.averaged and not torch.equal(model.sample(latents), images.clamp(-1, 1))


@torch.no_grad()
def test_stylegan2_ada(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Golden("stylegan2_ada")
    model = imported(files.stylegan2_ada(tmp_path / "network.pkl", epilogue_kwargs={"mbstd_group_size": 8}))
    assert isinstance(model, StyleGAN2)
    latents = golden["input/z"]
    images = model.sample(latents, clipped=False, ema=False)
    assert relative_error(images, golden["output/image"]) < 1e-5
    truncated = model.sample(latents, truncation=0.5, clipped=False, ema=False)
    assert relative_error(truncated, golden["output/image_psi05"]) < 1e-5
    assert model.hparams["minibatch_stddev_group"] == 8 and model.hparams["clamp"] is None
    assert model.averaged
    for name, value in model.generator.state_dict().items():
        torch.testing.assert_close(model.generator_ema.state_dict()[name], value * 0.5)
    said = capsys.readouterr().out
    assert "not used: augment_pipe, training_set_kwargs" in said
    # Without an argument, groups have four samples.
    Path("out.ckpt").unlink()
    model = imported(files.stylegan2_ada(tmp_path / "network.pkl"))
    assert relative_error(scores(model, golden["output/image"]), golden["output/logits"].flatten()) < 1e-5


@torch.no_grad()
def test_stylegan2_ada_with_labels_other_connections_and_a_clamp(tmp_path: Path) -> None:
    options = {"classes": 3, "generator": "resnet", "discriminator": "skip", "conv_clamp": 1.5}
    config = {**stylegan2_reference.DEFAULTS, **options}
    state = stylegan2_reference.random_state(config)
    path = files.stylegan2_ada(
        tmp_path / "network.pkl", state=state, synthesis={"conv_clamp": 1.5}, conv_clamp=1.5, num_fp16_res=4
    )
    model = imported(path)
    latents, labels = model.draw_latents(4, seed=0)
    assert labels is not None
    w = stylegan2_reference.mapped(state["G"], config, latents, torch.eye(3)[labels], config["layers"])
    expected = stylegan2_reference.images(state, config, w[:, None].expand(-1, 6, -1))
    images = model.sample(latents, labels, clipped=False, ema=False)
    assert relative_error(images, expected) < 1e-5
    theirs = stylegan2_reference.scores(state, config, images, torch.eye(3)[labels]).flatten()
    assert relative_error(scores(model, images, labels), theirs) < 1e-5


@torch.no_grad()
def test_an_average_of_stylegan2_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = imported(files.stylegan2_ada(tmp_path / "network.pkl", networks=("G_ema",)))
    assert model.averaged
    assert torch.equal(model.sample(2, ema=True), model.sample(2, ema=False))
    assert "discriminator  new weights, because the file has none" in capsys.readouterr().out


def test_a_stylegan2_that_the_model_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(**settings: Any) -> str:
        files.stylegan2_ada(tmp_path / "network.pkl", **settings)
        return message_of("import network.pkl out.ckpt", capsys)

    golden = Golden("stylegan2_ada").state
    assert "D of the file has activation=relu, for which StyleGAN2 has no setting" in message(activation="relu")
    assert "mbstd_group_size=all, for which StyleGAN2 has no setting" in message(mbstd_group_size="all")
    assert "different values of conv_clamp, {'G': None, 'D': 256" in message(conv_clamp=256)
    third = {"G": {"synthesis.input.weight": torch.zeros(1)}, "D": golden["D"]}
    assert "G of the file is no network of StyleGAN2 but, for example, of StyleGAN3" in message(state=third)
    labelled = stylegan2_reference.random_state({**stylegan2_reference.DEFAULTS, "classes": 2})
    assert "the generator has channel_base=" in message(state={"G": golden["G"], "D": labelled["D"]})
    layers = {"conv0": {"conv_clamp": 256}, "conv1": {"conv_clamp": None}}
    assert "G of the file has layers with different values of conv_clamp, 256, None" in message(of_layers=layers)
    for name in ("b8.foo.weight", "b4.foo.weight"):
        more = {"G": golden["G"], "D": {**golden["D"], name: torch.zeros(1)}}
        assert f"{name} is no weight of StyleGAN2" in message(state=more)
    inner = {"G": {**golden["G"], "synthesis.b8.foo.weight": torch.zeros(1)}, "D": golden["D"]}
    assert "b8.foo.weight is no weight of StyleGAN2" in message(state=inner)
    flat = {"G": {**golden["G"], "synthesis.b8.conv1.weight": torch.tensor(1.0)}, "D": golden["D"]}
    assert "looks like stylegan2_ada, but does not fit it" in message(state=flat)
    infinite = {"G": golden["G"], "D": {**golden["D"], "b4.out.bias": torch.tensor([math.inf])}}
    assert "discriminator.last.dense1.bias has numbers that are not finite" in message(state=infinite)
    assert not Path("out.ckpt").exists()


def test_settings_of_stylegan2_that_only_its_layers_tell(tmp_path: Path) -> None:
    """A default of the authors' code that only its text has, which is not read: here a clamp."""
    layers = {"conv0": {"conv_clamp": 256}, "conv1": {"conv_clamp": 256}, "mbstd": {"group_size": 2}}
    golden = Golden("stylegan2_ada").state
    state = {"G": golden["G"], "D": {**golden["D"], "b4.mbstd.resample_filter": golden["D"]["b4.conv.resample_filter"]}}
    model = imported(files.stylegan2_ada(tmp_path / "network.pkl", state=state, of_layers=layers))
    assert model.hparams["clamp"] == 256 and model.hparams["minibatch_stddev_group"] == 2


@torch.no_grad()
def test_a_conditional_stylegan2_of_tensorflow_has_another_rate_for_layers_that_it_has_not(tmp_path: Path) -> None:
    config = {**stylegan2_reference.DEFAULTS, "classes": 3, "label_layers": 0}
    state = stylegan2_reference.random_state(config)
    rates = {"mapping_kwargs": files.EasyDict(num_layers=0, lr_multiplier=0.1), "mbstd_group_size": None}
    model = imported(files.stylegan2_ada(tmp_path / "network.pkl", state=state, **rates))
    assert model.hparams["discriminator_mapping_layers"] == 0
    assert model.hparams["mapping_learning_rate_multiplier"] == 0.01 and model.hparams["minibatch_stddev_group"] is None
    images, labels = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 2, 1, 0])
    theirs = stylegan2_reference.scores(state, {**config, "mbstd_group_size": 6}, images, torch.eye(3)[labels])
    assert relative_error(scores(model, images, labels), theirs.flatten()) < 1e-5


@torch.no_grad()
def test_biggan_pytorch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Golden("biggan")
    of_discriminator = files.biggan(tmp_path / "D.pth", network="D")
    model = imported(files.biggan(tmp_path / "G.pth"), "--discriminator", str(of_discriminator))
    images = model.sample(golden["input/z"], golden["input/y"], clipped=False)
    assert relative_error(images, golden["output/image"]) < 1e-4
    assert (
        relative_error(scores(model, golden["output/image"], golden["input/y"])[:, None], golden["output/logits"])
        < 1e-4
    )
    said = capsys.readouterr().out
    assert "assumed, because the file does not say it: BN_eps=1e-05" in said
    assert "a copy of the generator, because the file has no averaged weights" in said
    assert not model.averaged


@torch.no_grad()
def test_a_generator_of_biggan_alone_and_its_average(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Golden("biggan")
    average = {name: value * 0.9 if name.endswith("bias") else value for name, value in golden.state["G"].items()}
    torch.save(average, tmp_path / "G_ema.pth")
    model = imported(files.biggan(tmp_path / "G.pth"), "--averaged", str(tmp_path / "G_ema.pth"))
    assert "discriminator  new weights, because the file has none" in capsys.readouterr().out
    images = model.sample(golden["input/z"], golden["input/y"], clipped=False, ema=False)
    assert relative_error(images, golden["output/image"]) < 1e-4
    assert model.averaged and torch.equal(model.generator_ema.linear.bias, golden["state/G/linear.bias"] * 0.9)
    again = imported_as(tmp_path / "G.pth", "again.ckpt")
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.discriminator.parameters(), model.discriminator.parameters(), strict=True)
    )


def imported_as(path: Path, out: str, *options: str) -> GAN:
    main(["import", str(path), out, *options])
    return lightning_gan.load(out)


@torch.no_grad()
def test_pytorch_pretrained_biggan(tmp_path: Path) -> None:
    golden = Golden("biggan_deep_hf")
    state = {name: value.float() for name, value in tame_state(golden).items()}
    path = tmp_path / "biggan-deep-32-pytorch_model.bin"
    model = imported(files.biggan_deep(path, state, config=golden.config))
    latents, labels = golden["input/z"], golden["input/y"]
    expected = Published(state, golden.config, truncation=1.0)(latents, labels)
    assert relative_error(model.sample(latents, labels, clipped=False), expected) < 1e-4
    assert 0.1 < expected.std() < 0.9
    truncated = model.sample(latents, labels, truncation=0.4, clipped=False)
    few = truncated_latents(latents, truncation=0.4)
    assert relative_error(truncated, Published(state, golden.config, truncation=0.4)(few, labels)) < 1e-4


def test_pytorch_pretrained_biggan_without_its_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Golden("biggan_deep_hf")
    files.biggan_deep(tmp_path / "pytorch_model.bin", golden.state["M"], config=None)
    # The shapes tell everything but where the resolution doubles. Here it is not in turn, which gives other images.
    told = _config_of(golden.state["M"])
    assert [layer[1:] for layer in told.pop("layers")] == [layer[1:] for layer in golden.config["layers"]]
    assert told == {name: golden.config[name] for name in told}
    assert "image_size=16" in message_of("import pytorch_model.bin out.ckpt", capsys)


@pytest.mark.parametrize("zipped", [True, False], ids=["a zip", "the format before torch 1.6"])
@torch.no_grad()
def test_gan_stability(zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Golden("gan_stability_resnet")
    path = files.gan_stability(tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    model = imported(path)
    images = model.sample(golden["input/z"], clipped=False, ema=False)
    assert relative_error(images[4:], golden["output/image"][4:]) < 1e-5
    assert relative_error(scores(model, golden["output/image"]), golden["output/logits"]) < 1e-5
    assert "not used: it, g_optimizer, d_optimizer" in capsys.readouterr().out
    assert torch.equal(model.generator_ema.input.bias, golden["state/G/fc.bias"] * 0.5)


@torch.no_grad()
def test_vgan(tmp_path: Path) -> None:
    golden, r1 = Golden("vgan_official"), Golden("gan_stability_resnet")
    model = imported(files.vgan(tmp_path / "model.pt"))
    logits = model.discriminator(golden["input/image"], None, golden["input/eps"])
    assert relative_error(logits.flatten(), golden["output/logits"]) < 1e-5
    images = model.sample(r1["input/z"], clipped=False, ema=False)
    assert relative_error(images[4:], r1["output/image"][4:]) < 1e-5


@torch.no_grad()
def test_sngan(tmp_path: Path) -> None:
    golden = Golden("sngan_official")
    of_discriminator = files.sngan(tmp_path / "SNResNetProjectionDiscriminator_1.npz", network="D")
    path = files.sngan(tmp_path / "ResNetGenerator_1.npz")
    model = imported(path, "--discriminator", str(of_discriminator))
    images = model.sample(golden["input/z"], golden["input/y"], clipped=False)
    assert relative_error(images, golden["output/image"]) < 1e-4
    assert (
        relative_error(scores(model, golden["output/image"], golden["input/y"])[:, None], golden["output/logits"])
        < 1e-5
    )


@pytest.mark.parametrize("zipped", [True, False], ids=["a zip", "the format before torch 1.6"])
@torch.no_grad()
def test_introvae(zipped: bool, tmp_path: Path) -> None:
    golden = Golden("introvae")
    model = imported(files.introvae(tmp_path / "model_epoch_3_iter_0.pth", _use_new_zipfile_serialization=zipped))
    assert relative_error(model.encode(2 * golden["input/image"] - 1), golden["output/mu"]) < 1e-5
    images = (model.decode(golden["output/mu"]) + 1) / 2
    assert relative_error(images, golden["output/reconstruction_of_mu"]) < 1e-5


@torch.no_grad()
def test_r3gan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Golden("r3gan")
    model = imported(files.r3gan(tmp_path / "network-snapshot-final.pkl"))
    images = model.sample(golden["input/z"], clipped=False, ema=False)
    assert relative_error(images, golden["output/image"]) < 2e-6
    assert relative_error(scores(model, golden["output/image"]), golden["output/logits"]) < 2e-6
    assert torch.equal(model.generator_ema.output.weight, golden["state/G/AggregationLayer.Layer.weight"] * 0.5)
    said = capsys.readouterr().out
    assert "blocks_per_stage=[2, 1, 1]" in said and "not used: D_opt_state, cur_nimg" in said


@torch.no_grad()
def test_an_average_of_r3gan_alone_is_the_generator_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = imported(files.r3gan(tmp_path / "snapshot.pkl", networks=("G_ema",)))
    assert torch.equal(model.sample(3, ema=True), model.sample(3, ema=False))
    assert "discriminator  new weights, because the file has none" in capsys.readouterr().out


# ---------------------------------------------------------------------- the rules

MADE: dict[str, Callable[[Path], Path]] = {
    "biggan_pytorch": files.biggan,
    "gan_stability": files.gan_stability,
    "introvae_official": files.introvae,
    "pggan_official": files.pggan,
    "published_biggan_deep": lambda path: files.biggan_deep(path, Golden("biggan_deep_hf").state["M"], config=None),
    "r3gan_official": files.r3gan,
    "sngan_official": files.sngan,
    "stylegan_official": files.stylegan,
    "stylegan2_ada": files.stylegan2_ada,
    "vgan_official": files.vgan,
}


def test_every_format_recognises_its_files_and_no_others(tmp_path: Path) -> None:
    formats = all_formats()
    assert formats.keys() == MADE.keys(), "a new format needs a file here, and a test above"
    for name, make in MADE.items():
        content = read_foreign(make(tmp_path / f"{name}.npz"))
        assert [other for other, kind in formats.items() if kind.recognises(content)] == [name]


def test_a_tensor_that_is_left_over_or_missing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = Golden("biggan").state["G"]
    torch.save({**state, "blocks.0.0.extra.weight": torch.zeros(1)}, tmp_path / "more.pth")
    torch.save({name: value for name, value in state.items() if name != "linear.bias"}, tmp_path / "less.pth")
    assert "blocks.0.extra.weight" in message_of("import more.pth out.ckpt", capsys)
    assert re.search(
        r"less.pth looks like biggan_pytorch, .*linear\.bias", message_of("import less.pth out.ckpt", capsys)
    )
    assert not Path("out.ckpt").exists()


def test_what_cannot_be_imported_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files.biggan(tmp_path / "G.pth")
    assert "exists, and nothing is overwritten" in message_of("import G.pth G.pth", capsys)
    assert "there is no file nothing.pth" in message_of("import nothing.pth out.ckpt", capsys)
    assert "is a folder" in message_of("import . out.ckpt", capsys)
    Path("text.txt").write_text("weights")
    assert "text.txt is no file of numpy.savez" in message_of("import text.txt out.ckpt", capsys)
    Path("cut.pth").write_bytes(Path("G.pth").read_bytes()[:500])
    assert "cut.pth" in message_of("import cut.pth out.ckpt", capsys)
    torch.save({"a": torch.zeros(1)}, "other.pth")
    assert "other.pth is of no format that is known here: " in message_of("import other.pth out.ckpt", capsys)
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2"}, "own.ckpt")
    assert "needs no import; `fit --weights own.ckpt` takes it" in message_of("import own.ckpt out.ckpt", capsys)
    files.gan_stability(tmp_path / "model.pt")
    assert "has all networks in one file" in message_of("import model.pt out.ckpt --averaged G.pth", capsys)
    assert "--discriminator is no file like D.pth" in message_of("import G.pth out.ckpt --discriminator G.pth", capsys)
    assert "--settings wide: biggan_pytorch has only BN_eps" in message_of(
        'import G.pth out.ckpt --settings {"wide":1}', capsys
    )
    files.pggan(tmp_path / "pggan.pkl", pixelnorm_epsilon=1e-4)
    assert "pixelnorm_epsilon=0.0001, for which PGGAN has no setting" in message_of("import pggan.pkl out.ckpt", capsys)
    files.stylegan(tmp_path / "stylegan.pkl", blur_filter=None)
    assert "blur_filter=None, for which StyleGAN has no setting" in message_of("import stylegan.pkl out.ckpt", capsys)
    assert not Path("out.ckpt").exists()


def test_settings_that_no_file_has_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = imported(files.biggan(tmp_path / "G.pth"), "--settings", '{"BN_eps": 0.5}')
    assert model.hparams["batch_norm_eps"] == 0.5
    assert "assumed" not in capsys.readouterr().out


def test_a_published_biggan_deep_leaves_the_published_statistics_when_it_is_trained(tmp_path: Path) -> None:
    golden = Golden("biggan_deep_hf")
    state = {name: value.float() for name, value in tame_state(golden).items()}
    model = imported(files.biggan_deep(tmp_path / "pytorch_model.bin", state, config=golden.config))
    before = model.sample(2, truncation=0.4)
    generator = model.generator.train()
    generator(*model.draw_latents(4, seed=0))
    after = model.sample(2, truncation=0.4)
    assert not torch.allclose(before, after)
    generator.blocks[0].norm1.running_means.zero_()
    assert torch.equal(model.sample(2, truncation=0.4), after)
