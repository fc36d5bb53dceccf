"""What a user reads when a setting is wrong."""

from pathlib import Path
from typing import Any

import pytest

from lightning_gan.cli.commands import command_names
from lightning_gan.cli.entry import TRAINER_COMMANDS
from tests.cli.command_line import message_of, run, write


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "fitt",
            f"fitt is none of the commands {', '.join([*TRAINER_COMMANDS, *command_names()])}; did you mean fit?",
        ),
        ("fit", "fit needs data and model; give for example --config stylegan.yaml"),
        (
            "fit --model DCGAN",
            "fit needs data; give those of a run (--config runs/NAME/config.yaml), or for example --config "
            "stylegan.yaml",
        ),
        (
            "fit --config tiny.yaml --modle.training.seed 3",
            "modle.training.seed is no option of fit; did you mean model.training.seed?",
        ),
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
        (
            "fit --config tiny.yaml --data.mirror true",
            "data: Digits has no option mirror; its mirror is fixed, so leave it out, or give another class",
        ),
        ("fit --config tiny.yaml --model.style_mixing much", "model.style_mixing: much is no float"),
        (
            "fit --config tiny.yaml --model.training.generator_optimizer.lrr 1",
            "model.training.generator_optimizer: GANAdam has no option lrr; did you mean lr?",
        ),
        (
            "fit --config tiny.yaml --model.training.loss Hing",
            "model.training.loss: there is no class Hing; did you mean Hinge?",
        ),
        # Settings of training are found without the name of their group, which is easily forgotten.
        (
            "fit --config tiny.yaml --model.generator_optimizer.lr 1",
            "model: StyleGAN has no option generator_optimizer.lr; did you mean model.training.generator_optimizer.lr?",
        ),
        (
            "fit --config tiny.yaml --model.loop.compile true",
            "model: StyleGAN has no option loop.compile; did you mean model.training.compile?",
        ),
        (
            "fit --config tiny.yaml --model.seed 3",
            "model: StyleGAN has no option seed; did you mean model.training.seed?",
        ),
        (
            "fit --config tiny.yaml --model.pixel_norm true",
            "model: StyleGAN has no option pixel_norm; did you mean model.parts.pixel_norm?",
        ),
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
        (
            "fit --config tiny.yaml --model.training.discriminator_turn 7",
            "model: StyleGAN has no option training.discriminator_turn; did you mean training.discriminator_turns?",
        ),
        ("fit --config tiny.yaml --data.image_size 7", "image_size=7: give a multiple of 4 from 4 to 64"),
        (
            "fit --config tiny.yaml --trainer.callbacks+=R1 --trainer.callbacks.gamma=-1",
            "R1: its weight -0.5 must not be negative",
        ),
        ("fit --config tiny.yaml --ckpt_path", "--ckpt_path needs a value"),
        ("fit --config tiny.yaml --ckpt_path none.ckpt", "there is no checkpoint none.ckpt"),
        (
            "test --config tiny.yaml --ckpt_path last",
            "there is no checkpoint runs/tiny/checkpoints/last.ckpt; train first (`fit --resume` begins or goes on), "
            "or name the run with --name",
        ),
        (
            "test --ckpt_path last",
            "--ckpt_path last: the run is not known; give its --config or --name, or the checkpoint's path",
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
            {
                "model": {
                    "init_args": {
                        "training": {"generator_optimizer": {"class_path": "GANAdam", "init_args": {"lrr": 1}}}
                    }
                }
            },
            "model.training.generator_optimizer: GANAdam has no option lrr; did you mean lr?",
        ),
        (
            {"model": {"init_args": {"loop": {"discriminator_turns": 2}}}},
            "model: StyleGAN has no option loop.discriminator_turns; did you mean model.training.discriminator_turns?",
        ),
        (
            {"model": {"init_args": {"training": {"discriminator_turn": 2}}}},
            "model: training of StyleGAN has no option discriminator_turn; did you mean discriminator_turns?",
        ),
    ],
)
def test_a_typo_in_a_configuration_ends_in_one_line(
    settings: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("typo.yaml", settings)
    assert message_of("fit --config tiny.yaml --config typo.yaml", capsys) == message


def test_debugging_shows_where_an_error_comes_from() -> None:
    with pytest.raises(ValueError, match="image_size=7: give a multiple of 4"):
        run("fit --config tiny.yaml --data.image_size 7 --debug")


def test_an_error_in_the_code_keeps_its_traceback() -> None:
    Path("broken_callbacks.py").write_text(
        "from lightning.pytorch import Callback\n"
        "class Broken(Callback):\n    def on_train_start(self, trainer, pl_module):\n        raise ValueError('mine')\n"
    )
    with pytest.raises(ValueError, match="mine"):
        run("fit --config tiny.yaml --trainer.callbacks+=broken_callbacks.Broken")
