"""What the command line decides for the trainer."""

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_gan.callbacks import DivergenceSigns, KimgCheckpoint, StopOnSignal
from lightning_gan.cli.trainer_settings import trainer_settings
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from tests.cli.command_line import TRAINER


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
    trainer_settings(config, command="fit", run=tmp_path)
    assert here.dirpath == str(tmp_path / "checkpoints")
    assert str(elsewhere.dirpath).endswith("elsewhere")


def test_last_ckpt_is_written_beside_the_checkpoints_of_others(tmp_path: Path) -> None:
    config = {**TRAINER, "callbacks": [ModelCheckpoint(), StopOnSignal(silence_seconds=7.0)]}
    callbacks = trainer_settings(config, command="fit", run=tmp_path)["callbacks"]
    assert [type(one) for one in callbacks if isinstance(one, ModelCheckpoint)] == [ModelCheckpoint, KimgCheckpoint]
    (stop,) = (one for one in callbacks if isinstance(one, StopOnSignal))
    assert stop.silence_seconds == 7.0 and "fit --ckpt_path {checkpoint}" in stop.how_to_go_on
    config = {**TRAINER, "enable_checkpointing": False}
    callbacks = trainer_settings(config, command="fit", run=tmp_path)["callbacks"]
    assert not any(isinstance(one, KimgCheckpoint) for one in callbacks)
    assert not any(
        isinstance(one, StopOnSignal) for one in trainer_settings(TRAINER, command="test", run=tmp_path)["callbacks"]
    )


@pytest.mark.parametrize(("command", "makes_images", "count"), [("fit", True, 1), ("fit", False, 0), ("test", True, 0)])
def test_signs_of_divergence_are_logged_while_models_of_images_train(
    command: str, makes_images: bool, count: int, tmp_path: Path
) -> None:
    given = trainer_settings(TRAINER, command=command, run=tmp_path, makes_images=makes_images)["callbacks"]
    assert len([one for one in given if isinstance(one, DivergenceSigns)]) == count
    own = {**TRAINER, "callbacks": [DivergenceSigns(in_a_row=7)]}
    again = trainer_settings(own, command=command, run=tmp_path, makes_images=makes_images)["callbacks"]
    assert [one.in_a_row for one in again if isinstance(one, DivergenceSigns)] == [7]


def test_only_training_keeps_logs(tmp_path: Path) -> None:
    logger = trainer_settings(TRAINER, command="fit", run=tmp_path)["logger"]
    assert Path(logger.log_dir) == tmp_path
    assert trainer_settings(TRAINER, command="test", run=tmp_path)["logger"] is False
    assert "logger" not in trainer_settings({**TRAINER, "logger": False}, command="fit", run=tmp_path)
