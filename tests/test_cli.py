"""The command line: what it runs, where it writes, which setting wins, and what it says when one is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gan.callbacks import KimgCheckpoint
from lightning_gan.checkpointing import AtomicCheckpointIO
from lightning_gan.cli import main
from lightning_gan.cli.configs import find_config, shipped_configs, shipped_folder
from lightning_gan.cli.errors import CommandLineError
from lightning_gan.cli.runs import last_checkpoint, new_run
from lightning_gan.cli.trainer_settings import trainer_settings
from lightning_gan.gan import GAN
from lightning_gan.models import StyleGAN

REPOSITORY = Path(__file__).parent.parent

TINY: dict[str, Any] = {
    "model": {
        "class_path": "StyleGAN",
        "init_args": {
            "latent_dim": 4,
            "style_dim": 4,
            "mapping_layers": 1,
            "mapping_width": 4,
            "channel_base": 32,
            "channel_max": 4,
        },
    },
    "data": {"class_path": "Digits", "init_args": {"image_size": 8, "batch_size": 8}},
    "trainer": {
        "accelerator": "cpu",
        "max_steps": 2,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [{"class_path": "R1", "init_args": {"gamma": 1.0}}],
    },
}

TRAINER: dict[str, Any] = {
    "accelerator": "auto",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "plugins": None,
    "logger": None,
    "callbacks": None,
    "enable_checkpointing": None,
    "enable_progress_bar": None,
}
"""What the command line's trainer section holds when nothing is given."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with one small configuration, `tiny.yaml`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTNING_GAN_DEBUG", raising=False)
    write("tiny.yaml", TINY)
    return tmp_path


def write(name: str, settings: dict[str, Any]) -> None:
    Path(name).write_text(yaml.safe_dump(settings))


def read(name: str) -> Any:
    return yaml.safe_load(Path(name).read_text())


def hyperparameters(run: str) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(f"runs/{run}/checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
    return saved


def trained_batches(run: str) -> int:
    step: int = torch.load(f"runs/{run}/checkpoints/last.ckpt", weights_only=True)["global_step"]
    return step


def run(command_line: str) -> None:
    main(command_line.split())


def message_of(arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command line ends in."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        run(arguments)
    assert exit_.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lightning-gan: error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("lightning-gan: error: ")


# ---------------------------------------------------------------------- runs


def test_a_fit_leaves_its_settings_and_last_checkpoint_in_the_folder_of_its_run() -> None:
    run("fit --config tiny.yaml")
    assert trained_batches("tiny") == 2
    assert read("runs/tiny/config.yaml")["data"]["init_args"]["image_size"] == 8
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]


def test_a_saved_configuration_trains_the_same_again() -> None:
    run("fit --config tiny.yaml --seed_everything=7")
    run("fit --config runs/tiny/config.yaml")
    assert read("runs/tiny-2/config.yaml") == read("runs/tiny/config.yaml")
    first, second = (
        torch.load(f"runs/{run}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in ("tiny", "tiny-2")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_second_fit_does_not_touch_what_the_first_has_saved() -> None:
    run("fit --config tiny.yaml")
    before = {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
    run("fit --config tiny.yaml --seed_everything=1")
    assert {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()} == before
    assert trained_batches("tiny-2") == 2


def test_a_name_that_was_asked_for_is_not_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml --name mine")
    message = message_of("fit --config tiny.yaml --name mine", capsys)
    assert message.startswith("runs/mine holds an earlier run") and "--ckpt_path last" in message


def test_a_folder_in_which_training_never_began_is_used_again() -> None:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/config.yaml").touch()
    assert new_run("a", keep_name=True) == Path("runs/a")


def test_last_is_the_newest_of_the_runs_with_a_name(folder: Path) -> None:
    for run, age in (("a", 3), ("a-2", 1), ("a-10", 2), ("a-b", 0)):
        path = Path("runs") / run / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        import os

        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert last_checkpoint("a", keep_name=False) == Path("runs/a-2/checkpoints/last.ckpt")
    assert last_checkpoint("a", keep_name=True) == Path("runs/a/checkpoints/last.ckpt")
    assert new_run("a", keep_name=False) == Path("runs/a-3")


def test_training_goes_on_in_the_folder_of_its_checkpoint() -> None:
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml --ckpt_path last --trainer.max_steps=5")
    assert trained_batches("tiny") == 5
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]
    assert read("runs/tiny/config.yaml")["ckpt_path"] is None


def test_another_name_branches_off_a_checkpoint() -> None:
    run("fit --config tiny.yaml")
    run("fit --config tiny.yaml --name branch --ckpt_path runs/tiny/checkpoints/last.ckpt --trainer.max_steps=3")
    assert (trained_batches("tiny"), trained_batches("branch")) == (2, 3)


def test_testing_needs_nothing_but_a_checkpoint_and_writes_nothing() -> None:
    run("fit --config tiny.yaml")
    before = sorted(path for path in Path("runs").rglob("*"))
    run("test --ckpt_path runs/tiny/checkpoints/last.ckpt --trainer.limit_test_batches=1")
    run("validate --name tiny --ckpt_path last --trainer.limit_val_batches=1")
    assert sorted(path for path in Path("runs").rglob("*")) == before


# ---------------------------------------------------------------------- which setting wins


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
    assert hyperparameters("tiny")["seed"] == 5
    run("fit --config tiny.yaml --seed_everything=5 --model.seed=6 --name=own")
    assert hyperparameters("own")["seed"] == 6
    assert read("runs/own/config.yaml")["model"]["init_args"]["seed"] == 6
    assert "seed" not in read("runs/own/config.yaml")["data"]["init_args"]


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
    assert hyperparameters("tiny")["seed"] == 5


def test_a_continued_run_takes_another_seed_only_from_the_command_line() -> None:
    write("seeded.yaml", {**TINY, "seed_everything": 1})
    run("fit --config seeded.yaml --seed_everything=5")
    run("fit --config seeded.yaml --ckpt_path=last --trainer.max_steps=3")
    assert hyperparameters("seeded")["seed"] == read("runs/seeded/config.yaml")["seed_everything"] == 5
    run("fit --config seeded.yaml --ckpt_path=last --trainer.max_steps=4 --seed_everything=6")
    assert hyperparameters("seeded")["seed"] == read("runs/seeded/config.yaml")["seed_everything"] == 6


def test_a_file_that_is_no_checkpoint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.ckpt").write_bytes(b"half a file")
    message = message_of("fit --config tiny.yaml --ckpt_path broken.ckpt", capsys)
    assert message.startswith("broken.ckpt is no checkpoint that can be read")


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
        torch.load(f"runs/{run}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in ("whole", "parts")
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


# ---------------------------------------------------------------------- what the trainer gets


def test_more_than_one_device_trains_with_our_strategy_for_two_players(tmp_path: Path) -> None:
    config = {**TRAINER, "accelerator": "cpu", "devices": 2}
    assert trainer_settings(config, command="fit", run=tmp_path)["strategy"] == "gan_ddp"
    assert "strategy" not in trainer_settings({**config, "devices": 1}, command="fit", run=tmp_path)
    assert "strategy" not in trainer_settings({**config, "strategy": "gan_fsdp"}, command="fit", run=tmp_path)


def test_checkpoints_are_written_atomically_unless_the_strategy_writes_them_itself(tmp_path: Path) -> None:
    (plugin,) = trainer_settings(TRAINER, command="fit", run=tmp_path)["plugins"]
    assert isinstance(plugin, AtomicCheckpointIO)
    assert "plugins" not in trainer_settings({**TRAINER, "strategy": "gan_fsdp"}, command="fit", run=tmp_path)


def test_every_checkpoint_goes_to_the_folder_of_the_run(tmp_path: Path) -> None:
    elsewhere, here = ModelCheckpoint(dirpath="elsewhere"), ModelCheckpoint()
    config = {**TRAINER, "callbacks": [elsewhere, here]}
    callbacks = trainer_settings(config, command="fit", run=tmp_path)["callbacks"]
    assert here.dirpath == str(tmp_path / "checkpoints")
    assert str(elsewhere.dirpath).endswith("elsewhere")
    assert not any(isinstance(callback, KimgCheckpoint) for callback in callbacks)


def test_only_training_keeps_logs(tmp_path: Path) -> None:
    logger = trainer_settings(TRAINER, command="fit", run=tmp_path)["logger"]
    assert Path(logger.log_dir) == tmp_path
    assert trainer_settings(TRAINER, command="test", run=tmp_path)["logger"] is False
    assert "logger" not in trainer_settings({**TRAINER, "logger": False}, command="fit", run=tmp_path)


# ---------------------------------------------------------------------- configurations by name


def test_a_configuration_of_the_working_directory_comes_before_a_shipped_one() -> None:
    assert find_config("addons/r1.yaml") == shipped_folder() / "addons" / "r1.yaml"
    assert find_config("configs/addons/r1.yaml") == find_config("addons/r1")
    Path("addons").mkdir()
    Path("addons/r1.yaml").touch()
    assert find_config("addons/r1.yaml") == Path("addons/r1.yaml")


def test_an_unknown_configuration_names_those_it_resembles() -> None:
    with pytest.raises(CommandLineError, match=r"no configuration addons/r11.yaml.*did you mean addons/r1.yaml"):
        find_config("addons/r11.yaml")
    with pytest.raises(CommandLineError, match=r"did you mean hardware/bf16.yaml"):
        find_config("bf16")


def test_broken_yaml_is_reported_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.yaml").write_text("model:\n  class_path: [StyleGAN\n")
    assert re.fullmatch(r"broken.yaml is not valid YAML: .* in line \d", message_of("fit --config broken.yaml", capsys))


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fitt", "fitt is none of the commands fit, validate, test; did you mean fit?"),
        ("fit", "fit needs data and model; give for example --config stylegan.yaml"),
        ("fit --config tiny.yaml --modle.seed 3", "modle.seed is no option of fit; did you mean model.seed?"),
        (
            "fit --config tiny.yaml --trainer.max_epoch 3",
            "trainer.max_epoch is no option of fit; did you mean trainer.max_epochs?",
        ),
        ("fit --config tiny.yaml --model StyleGun", "model: there is no class StyleGun; did you mean StyleGAN?"),
        (
            "fit --config tiny.yaml --model lightning_gan.models.StyleGun",
            "model: lightning_gan.models has no StyleGun; did you mean StyleGAN?",
        ),
        (
            "fit --config tiny.yaml --model.stile_mixing 1",
            "model: StyleGAN has no option stile_mixing; did you mean style_mixing?",
        ),
        ("fit --config tiny.yaml --model.style_mixing much", "model.style_mixing: much is no float"),
        (
            "fit --config tiny.yaml --model.generator_optimizer.lrr 1",
            "model.generator_optimizer: GANAdam has no option lrr; did you mean lr?",
        ),
        ("fit --config tiny.yaml --model.loss Hing", "model.loss: there is no class Hing; did you mean Hinge?"),
        (
            "fit --config tiny.yaml --trainer.callbacks+=R1 --trainer.callbacks.gama=1",
            "trainer.callbacks: R1 has no option gama; did you mean gamma?",
        ),
        (
            "fit --config tiny.yaml --trainer.callbacks+=R1 --trainer.callbacks.gamma=x",
            "trainer.callbacks.gamma: x is no float",
        ),
        (
            "fit --config tiny.yaml --trainer.callbacks+=Ema",
            "trainer.callbacks: there is no class Ema; did you mean EMA?",
        ),
        ("fit --config tiny.yaml --trainer.callbacks+=none.Such", "trainer.callbacks: there is no module none"),
        ("fit --config tiny.yaml --data ImageFolder", "data: ImageFolder needs path; give --data.path"),
        ("fit --config tiny.yaml --data.image_size 7", "image_size=7: the digits come in sizes (4, 8, 16, 32)"),
        (
            "fit --config tiny.yaml --trainer.callbacks+=R1 --trainer.callbacks.gamma=-1",
            "R1: its weight -0.5 must not be negative",
        ),
        ("fit --config tiny.yaml --ckpt_path", "--ckpt_path needs a value"),
        ("fit --config tiny.yaml --ckpt_path none.ckpt", "there is no checkpoint none.ckpt"),
        (
            "test --config tiny.yaml --ckpt_path last",
            "there is no checkpoint runs/tiny/checkpoints/last.ckpt; train first, or name the run with --name",
        ),
        (
            "test --ckpt_path last",
            "--ckpt_path last: of which run? Give its --config or --name, or the checkpoint's path",
        ),
        (
            "fit --config tiny.yaml --name a/b",
            "--name a/b: the name of a run is the name of a folder in runs/, without slashes",
        ),
    ],
)
def test_a_wrong_command_line_ends_in_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message_of(arguments, capsys) == message
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"modle": {"class_path": "StyleGAN"}},
            "modle.class_path is no option of fit; did you mean model.class_path?",
        ),
        ({"trainer": {"max_step": 3}}, "trainer.max_step is no option of fit; did you mean trainer.max_steps?"),
        ({"model": {"class_path": "StyleGun"}}, "model: there is no class StyleGun; did you mean StyleGAN?"),
        (
            {"model": {"init_args": {"stile_mixing": 1}}},
            "model: StyleGAN has no option stile_mixing; did you mean style_mixing?",
        ),
        (
            {"trainer": {"callbacks": [{"class_path": "R1", "init_args": {"gama": 1}}]}},
            "trainer.callbacks: R1 has no option gama; did you mean gamma?",
        ),
        (
            {"trainer": {"callbacks+": [{"class_path": "lightning_gan.callbacks.R3"}]}},
            "trainer.callbacks: lightning_gan.callbacks has no R3; did you mean R2?",
        ),
        (
            {"model": {"init_args": {"generator_optimizer": {"class_path": "GANAdam", "init_args": {"lrr": 1}}}}},
            "model.generator_optimizer: GANAdam has no option lrr; did you mean lr?",
        ),
    ],
)
def test_a_typo_in_a_configuration_ends_in_one_line(
    settings: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("typo.yaml", settings)
    assert message_of("fit --config tiny.yaml --config typo.yaml", capsys) == message


def test_debugging_shows_where_an_error_comes_from() -> None:
    with pytest.raises(ValueError, match="the digits come in sizes"):
        run("fit --config tiny.yaml --data.image_size 7 --debug")


def test_an_error_in_the_code_keeps_its_traceback() -> None:
    Path("broken_callbacks.py").write_text(
        "from lightning.pytorch import Callback\n"
        "class Broken(Callback):\n    def on_train_start(self, trainer, pl_module):\n        raise ValueError('mine')\n"
    )
    with pytest.raises(ValueError, match="mine"):
        run("fit --config tiny.yaml --trainer.callbacks+=broken_callbacks.Broken")


# ---------------------------------------------------------------------- help


def test_help_lists_commands_and_configurations_without_importing_torch() -> None:
    code = "import sys; from lightning_gan.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "fit " in done.stdout
    assert all(name in done.stdout for name in shipped_configs())


@pytest.mark.parametrize(
    "arguments", ["fit --help", "test --help", "fit --model.help StyleGAN", "fit --config tiny.yaml --help"]
)
def test_help_of_a_command_works(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(arguments)
    assert exit_.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_share_one_run(folder: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "cli.py"), "fit", "--config", "tiny.yaml", "--trainer.devices=2"]
    for _ in range(2):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["tiny", "tiny-2"]
    # The batch size is global: two batches of 8.
    assert StyleGAN.load_from_checkpoint("runs/tiny-2/checkpoints/last.ckpt").images_seen == 16


@pytest.mark.slow
def test_the_script_of_the_repository_does_the_same(folder: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "cli.py"), "fit", "--config", "tiny.yaml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    assert trained_batches("tiny") == 2
