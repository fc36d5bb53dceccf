"""The command `ema`: a run becomes a checkpoint with averaged weights of another length."""

from pathlib import Path

import pytest
import torch

import lightning_gan
from lightning_gan.callbacks import reconstructed_ema
from lightning_gan.cli import main
from tests.cli.command_line import message_of

CONFIG = """
model:
  class_path: StyleGAN
  init_args: {latent_dim: 4, style_dim: 4, mapping_layers: 1, mapping_width: 4, channel_base: 32, channel_max: 4}
data:
  class_path: Digits
  init_args: {image_size: 8, labels: false, batch_size: 4}
trainer:
  accelerator: cpu
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
  - class_path: PowerFunctionEMA
    init_args: {every_kimg: 0.008}
  - class_path: StopAtKimg
    init_args: {total_kimg: 0.032}
  - class_path: KimgCheckpoint
"""


def test_a_run_becomes_a_checkpoint_of_another_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(CONFIG)
    main(["fit", "--config", "small.yaml"])
    (run,) = Path("runs").iterdir()
    main(["ema", str(run), "wide.ckpt", "--relative_width", "0.2"])
    assert "relative width 0.2 at 0.032 kimg, of 4 files" in capsys.readouterr().out
    made, trained = lightning_gan.load("wide.ckpt"), lightning_gan.load(run)
    expected = reconstructed_ema(run / "averages", relative_width=0.2).tensors
    assert made.averaged and not trained.averaged
    for name, value in made.generator_ema.state_dict().items():
        assert torch.equal(value, expected[name])
    for name, value in made.generator.state_dict().items():
        assert torch.equal(value, trained.generator.state_dict()[name])
    main(["generate", "wide.ckpt", "samples", "--seeds", "0"])
    assert list(Path("samples").iterdir())
    assert "exists, and nothing is overwritten" in message_of(f"ema {run} wide.ckpt", capsys)
    assert "is a file; give the folder of its run" in message_of("ema wide.ckpt x.ckpt", capsys)
    assert "relative_width=0.5 must be above 0" in message_of(f"ema {run} x.ckpt --relative_width 0.5", capsys)
    assert not Path("x.ckpt").exists()
