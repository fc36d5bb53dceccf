"""Links from data to model, seeds, checkpoints, configurations and options: which setting wins."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from lightning_gan.loop.gan import GAN
from lightning_gan.models import StyleGAN
from tests.cli.command_line import TINY, hyperparameters, message_of, read, run, write


def test_the_model_takes_size_channels_and_classes_from_its_data() -> None:
    run("fit --config tiny.yaml --data.image_channels=3")
    saved = hyperparameters("tiny")
    assert (saved["image_size"], saved["image_channels"], saved["number_of_classes"]) == (8, 3, 10)
    assert not {"image_size", "image_channels", "number_of_classes"} & set(
        read("runs/tiny/config.yaml")["model"]["init_args"]
    )


def test_a_model_without_classes_may_ignore_the_labels_and_this_is_saved() -> None:
    run("fit --config tiny.yaml --model.number_of_classes=0")
    assert hyperparameters("tiny")["number_of_classes"] == 0
    assert read("runs/tiny/config.yaml")["model"]["init_args"]["number_of_classes"] == 0


def test_printed_settings_keep_what_was_given_and_leave_out_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("fit --config tiny.yaml --model.number_of_classes=0 --print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["init_args"]["number_of_classes"] == 0
    assert "image_size" not in printed["model"]["init_args"]
    assert not Path("runs").exists()


@pytest.mark.parametrize("setting", ["image_size=16", "number_of_classes=3"])
def test_a_model_that_contradicts_its_data_is_refused(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = message_of(f"fit --config tiny.yaml --model.{setting}", capsys)
    assert message.startswith(f"model.{setting}, but Digits has {setting.partition('=')[0]}=")


def test_one_seed_is_for_model_and_data_unless_they_have_their_own() -> None:
    run("fit --config tiny.yaml --seed_everything=5")
    assert hyperparameters("tiny")["training"]["seed"] == 5
    run("fit --config tiny.yaml --seed_everything=5 --model.training.seed=6 --name=own")
    assert hyperparameters("own")["training"]["seed"] == 6
    assert read("runs/own/config.yaml")["model"]["init_args"]["training"]["seed"] == 6
    assert "seed" not in read("runs/tiny/config.yaml")["model"]["init_args"]["training"]
    assert "seed" not in read("runs/own/config.yaml")["data"]["init_args"]


def test_settings_of_training_are_merged_over_configurations_and_checkpoints_one_by_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(
        "slow.yaml", {"model": {"init_args": {"training": {"generator_optimizer": "GANAdam", "accumulate_slices": 2}}}}
    )
    options = "--model.training.generator_optimizer.lr=0.01 --model.training.discriminator_optimizer=torch.optim.SGD"
    run(f"fit --config tiny.yaml --config slow.yaml {options}")
    saved = hyperparameters("tiny")["training"]
    assert saved["accumulate_slices"] == 2 and saved["discriminator_turns"] == 1
    assert saved["generator_optimizer"]["init_args"]["lr"] == 0.01
    assert saved["discriminator_optimizer"]["class_path"] == "torch.optim.SGD"
    loaded = StyleGAN.load_from_checkpoint("runs/tiny/checkpoints/last.ckpt", weights_only=True)
    assert loaded.settings.accumulate_slices == 2
    critic, generator = loaded.configure_optimizers()
    assert isinstance(critic, torch.optim.SGD) and generator.param_groups[0]["lr"] == 0.01
    run("fit --config tiny.yaml --ckpt_path=last --model.training.generator_optimizer.lr=0.02 --trainer.max_steps=3")
    saved = hyperparameters("tiny")["training"]
    assert saved["accumulate_slices"] == 2 and saved["generator_optimizer"]["init_args"]["lr"] == 0.02
    assert "model.training.generator_optimizer.lr=0.02 (was 0.01)" in capsys.readouterr().err


def test_what_is_given_wins_over_the_checkpoint_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml --model.style_mixing=0.5 --model.truncation_layers=3")
    run("fit --config tiny.yaml --ckpt_path=last --model.style_mixing=0.25 --trainer.max_steps=3")
    assert hyperparameters("tiny")["style_mixing"] == 0.25
    assert hyperparameters("tiny")["truncation_layers"] == 3
    assert "model.style_mixing=0.25 (was 0.5)" in capsys.readouterr().err


def test_a_continued_run_keeps_the_seed_it_began_with() -> None:
    run("fit --config tiny.yaml --seed_everything=5")
    run("fit --config tiny.yaml --ckpt_path=last --trainer.max_steps=3")
    assert read("runs/tiny/config.yaml")["seed_everything"] == 5
    assert hyperparameters("tiny")["training"]["seed"] == 5


def test_a_continued_run_takes_another_seed_only_from_the_command_line() -> None:
    write("seeded.yaml", {**TINY, "seed_everything": 1})
    run("fit --config seeded.yaml --seed_everything=5")
    run("fit --config seeded.yaml --ckpt_path=last --trainer.max_steps=3")
    assert hyperparameters("seeded")["training"]["seed"] == read("runs/seeded/config.yaml")["seed_everything"] == 5
    run("fit --config seeded.yaml --ckpt_path=last --trainer.max_steps=4 --seed_everything=6")
    assert hyperparameters("seeded")["training"]["seed"] == read("runs/seeded/config.yaml")["seed_everything"] == 6


def test_a_file_that_is_no_checkpoint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.ckpt").write_bytes(b"half a file")
    message = message_of("fit --config tiny.yaml --ckpt_path broken.ckpt", capsys)
    assert message.startswith("broken.ckpt is not a file of torch.save, or it is damaged")


def test_later_configurations_win_and_the_command_line_wins_over_all() -> None:
    write("more.yaml", {"model": {"init_args": {"style_mixing": 0.1, "truncation_layers": 2}}})
    run("fit --model.style_mixing=0.3 --config tiny.yaml --config more.yaml")
    assert hyperparameters("tiny")["style_mixing"] == 0.3
    assert hyperparameters("tiny")["truncation_layers"] == 2
    assert hyperparameters("tiny")["latent_dim"] == 4


def test_fragments_append_callbacks() -> None:
    write("more.yaml", {"trainer": {"callbacks+": [{"class_path": "R2", "init_args": {"gamma": 3.0}}]}})
    run("fit --config tiny.yaml --config more.yaml --trainer.callbacks+=EMA --trainer.callbacks.half_life_kimg=2")
    callbacks = read("runs/tiny/config.yaml")["trainer"]["callbacks"]
    assert [callback["class_path"].rsplit(".", 1)[-1] for callback in callbacks] == ["R1", "R2", "EMA"]
    assert callbacks[1]["init_args"]["gamma"] == 3.0
    assert callbacks[2]["init_args"]["half_life_kimg"] == 2.0


def test_a_trained_model_is_loaded_without_its_configuration() -> None:
    run("fit --config tiny.yaml")
    checkpoint = "runs/tiny/checkpoints/last.ckpt"
    model = StyleGAN.load_from_checkpoint(checkpoint, weights_only=True)
    assert model.sample(*model.draw_latents(3, seed=0)).shape == (3, 1, 8, 8)
    assert model.images_seen == 16
    assert type(GAN.load_from_checkpoint(checkpoint, weights_only=True)) is StyleGAN


def test_hyperparameters_are_plain_data() -> None:
    run("fit --config tiny.yaml")
    saved = hyperparameters("tiny")
    assert json.loads(json.dumps(saved)) == saved


def test_classes_of_the_working_directory_can_be_named() -> None:
    Path("my_callbacks.py").write_text(
        "from pathlib import Path\nfrom lightning.pytorch import Callback\n"
        "class Mine(Callback):\n"
        "    def __init__(self, *, text: str) -> None:\n        self.text = text\n"
        "    def on_train_end(self, trainer, pl_module):\n        Path('mine.txt').write_text(self.text)\n"
    )
    run("fit --config tiny.yaml --trainer.callbacks+=my_callbacks.Mine --trainer.callbacks.text=hello")
    assert Path("mine.txt").read_text() == "hello"


def test_networks_of_ones_own_are_trained_by_their_class_paths_and_tested_again() -> None:
    Path("my_networks.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Make(nn.Module):\n"
        "    def __init__(self, *, width: int) -> None:\n        super().__init__()\n"
        "        self.net = nn.Linear(4 + 10, width)\n"
        "    def forward(self, latents, labels):\n"
        "        seen = torch.cat([latents, nn.functional.one_hot(labels, 10).float()], 1)\n"
        "        return self.net(seen).reshape(len(latents), 1, 8, 8)\n"
        "class Score(nn.Module):\n"
        "    def __init__(self) -> None:\n        super().__init__()\n        self.net = nn.Linear(64, 10)\n"
        "    def forward(self, images, labels):\n"
        "        return self.net(images.flatten(1)).gather(1, labels[:, None])\n"
    )
    model = {
        "class_path": "GAN",
        "init_args": {
            "generator": {"class_path": "my_networks.Make", "init_args": {"width": 64}},
            "discriminator": {"class_path": "my_networks.Score"},
            "latent_dim": 4,
        },
    }
    write("own.yaml", {**TINY, "model": model})
    run("fit --config own.yaml")
    # What the constructor does not take would make the checkpoint unloadable.
    assert hyperparameters("own")["number_of_classes"] == 10
    assert "image_size" not in hyperparameters("own")
    run("test --ckpt_path runs/own/checkpoints/last.ckpt --trainer.limit_test_batches=1")


def test_other_peoples_data_need_not_know_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my_data.py").write_text(
        "import torch\nfrom lightning.pytorch import LightningDataModule\n"
        "class Mine(LightningDataModule):\n"
        "    def train_dataloader(self):\n"
        "        return torch.utils.data.DataLoader(torch.zeros(16, 3, 8, 8), batch_size=8)\n"
    )
    write("mine.yaml", {**TINY, "data": {"class_path": "my_data.Mine"}})
    assert message_of("fit --config mine.yaml", capsys) == "Mine has no attribute image_size; give --model.image_size"
    run("fit --config mine.yaml --model.image_size=8")
    assert (hyperparameters("mine")["image_size"], hyperparameters("mine")["number_of_classes"]) == (8, 0)


def test_a_continued_run_equals_one_that_was_not_interrupted() -> None:
    run("fit --config tiny.yaml --name whole --trainer.max_steps=5 --seed_everything=3")
    run("fit --config tiny.yaml --name parts --trainer.max_steps=2 --seed_everything=3")
    run("fit --config tiny.yaml --name parts --trainer.max_steps=5 --ckpt_path=last")
    whole, parts = (
        torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
