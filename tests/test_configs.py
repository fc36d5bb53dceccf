"""Every configuration that ships: it says what it is, it parses, and what is complete trains. New files are found."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from lightning_gan.cli import main
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from lightning_gan.imitation import VAIRL
from tests.toys import toy_trainer

CONFIGS = shipped_configs()
COMPLETE = [
    name
    for name in CONFIGS
    # The parser written in C, because all of them are read whenever tests are collected.
    if "class_path" in (yaml.load((shipped_folder() / name).read_text(), yaml.CSafeLoader).get("model") or {})
]
PAPER = [name for name in COMPLETE if name.startswith("paper/")]
SMALL = [name for name in COMPLETE if name not in PAPER]
HARDWARE = [name for name in CONFIGS if name.startswith("hardware/")]
ADDONS = [name for name in CONFIGS if name.startswith("addons/")]

# A complete configuration that fragments are put on, and which costs nothing.
BASE = """
model:
  class_path: StyleGAN
  init_args: {latent_dim: 4, style_dim: 4, mapping_layers: 1, mapping_width: 4, channel_base: 32, channel_max: 4}
data:
  class_path: Digits
  init_args: {image_size: 8, batch_size: 4}
trainer: {accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""


# The same for fragments with settings that the digits do not have, which are for one's own images.
BASE_OF_IMAGES = """
model:
  class_path: StyleGAN2
  init_args: {latent_dim: 4, style_dim: 4, mapping_layers: 1, channel_base: 64, channel_max: 4}
data:
  class_path: ImageFolder
  init_args: {path: images, image_size: 8, labels: false, batch_size: 4}
trainer: {accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory: what is found is what ships."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)


def test_there_is_a_configuration_for_every_purpose() -> None:
    assert ADDONS and HARDWARE


@pytest.mark.parametrize("name", CONFIGS)
def test_it_begins_with_what_it_is(name: str) -> None:
    lines = (shipped_folder() / name).read_text().splitlines()
    assert lines[0].startswith("# ") and len(lines[0]) > 40
    assert max(len(line) for line in lines) <= 120


@pytest.mark.parametrize("name", COMPLETE)
def test_it_parses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", name, "--print_config"])
    assert exit_.value.code == 0
    assert set(yaml.safe_load(capsys.readouterr().out)) >= {"model", "data", "trainer"}


def save_a_vairl(path: Path) -> None:
    """What `transfer.yaml` follows, for Pendulum, untrained."""
    trainer = toy_trainer(limit_train_batches=0)
    trainer.strategy.connect(VAIRL(observation_size=3, action_size=1, discrete_actions=False))
    trainer.save_checkpoint(path, weights_only=True)


@pytest.mark.parametrize("name", SMALL)
def test_it_trains_for_two_steps(name: str) -> None:
    if name == "transfer.yaml":
        save_a_vairl(Path("runs/vairl/checkpoints/last.ckpt"))
    # Small batches; a config whose callbacks schedule batch sizes keeps its own.
    main(["fit", "--config", name, "--config", "hardware/cpu", "--trainer.fast_dev_run=2", "--data.batch_size=4"])


@pytest.mark.parametrize("name", ADDONS)
def test_a_fragment_adds_its_callbacks_and_trains(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fit", "--config", "base.yaml", "--trainer.callbacks+=StopAtKimg", "--trainer.callbacks.total_kimg=1"]
    # Fragments append, so that callbacks of the configuration before them stay.
    settings = yaml.safe_load((shipped_folder() / name).read_text())
    assert "callbacks" not in settings.get("trainer", {})
    added = settings.get("trainer", {}).get("callbacks+", [])
    if "mirror" in settings.get("data", {}).get("init_args", {}):
        Path("images").mkdir()
        for number in range(4):
            Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(f"images/{number}.png")
        Path("base.yaml").write_text(BASE_OF_IMAGES)
    main([*arguments, "--config", name, "--trainer.fast_dev_run=2"])
    with pytest.raises(SystemExit):
        main([*arguments, "--config", name, "--print_config"])
    callbacks = [callback["class_path"] for callback in yaml.safe_load(capsys.readouterr().out)["trainer"]["callbacks"]]
    assert callbacks == [
        *(callback["class_path"] for callback in added),
        "lightning_gan.callbacks.StopAtKimg",
    ]


@pytest.mark.parametrize("name", HARDWARE)
def test_a_fragment_for_hardware_parses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--config", "base.yaml", "--config", name, "--print_config"])
    assert exit_.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    for section, settings in yaml.safe_load((shipped_folder() / name).read_text()).items():
        assert is_part(settings, printed[section])


def is_part(given: Any, printed: Any) -> bool:
    """Whether every given setting is printed as it was given; others may be printed beside it."""
    if not isinstance(given, dict):
        return bool(given == printed)
    return all(key in printed and is_part(value, printed[key]) for key, value in given.items())


def test_the_fragment_for_mixed_precision_trains_on_a_cpu_too() -> None:
    main(["fit", "--config", "base.yaml", "--config", "hardware/bf16", "--trainer.fast_dev_run=2"])
