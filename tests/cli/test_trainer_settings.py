"""What the command line decides for the trainer."""

from pathlib import Path

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lightning_gan.callbacks import DivergenceSigns, KimgCheckpoint, StopOnSignal, Throughput
from lightning_gan.cli.model_line import model_line
from lightning_gan.cli.trainer_settings import trainer_settings
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from lightning_gan.loop.csv_log import CSVLog
from tests.cli.command_line import TRAINER
from tests.toys import toy_gan, toy_trainer


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
    board, table = trainer_settings(TRAINER, command="fit", run=tmp_path)["logger"]
    assert Path(board.log_dir) == tmp_path and table.path == tmp_path / "log.csv"
    assert trainer_settings(TRAINER, command="test", run=tmp_path)["logger"] is False
    assert "logger" not in trainer_settings({**TRAINER, "logger": False}, command="fit", run=tmp_path)


def test_the_table_of_numbers_stands_beside_the_loggers_of_the_configuration(tmp_path: Path) -> None:
    own = CSVLogger(tmp_path)
    given, table = trainer_settings({**TRAINER, "logger": own}, command="fit", run=tmp_path)["logger"]
    assert given is own and isinstance(table, CSVLog)
    only = [CSVLog(tmp_path / "mine.csv")]
    assert trainer_settings({**TRAINER, "logger": only}, command="fit", run=tmp_path)["logger"] == only


def test_pace_and_memory_are_logged_once(tmp_path: Path) -> None:
    for callbacks in ([], [Throughput()]):
        given = trainer_settings({**TRAINER, "callbacks": callbacks}, command="fit", run=tmp_path)["callbacks"]
        assert len([one for one in given if isinstance(one, Throughput)]) == 1
    tested = trainer_settings(TRAINER, command="test", run=tmp_path)["callbacks"]
    assert not any(isinstance(one, Throughput) for one in tested)


def test_lightnings_table_of_a_model_is_printed_if_it_is_asked_for(tmp_path: Path) -> None:
    assert trainer_settings(TRAINER, command="fit", run=tmp_path)["enable_model_summary"] is False
    asked = {**TRAINER, "enable_model_summary": True}
    assert "enable_model_summary" not in trainer_settings(asked, command="fit", run=tmp_path)


def test_the_line_about_a_model_counts_what_is_trained(tmp_path: Path) -> None:
    module = toy_gan()
    trainer = toy_trainer()
    trainer.strategy.connect(module)
    line = model_line(trainer, module, seed=3)
    # 4 x 8 + 8 and 8 x 16 + 16; 4 x 9 + 4 and 64 + 1. The averaged generator is not trained.
    assert line == "model: GAN; parameters: generator 184, discriminator 105; on cpu in 32-true; seed 3"
