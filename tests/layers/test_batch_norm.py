"""Batch normalization: PyTorch's numbers, conditions, standing statistics, and two ranks that equal one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.layers.batch_norm import (
    Affine,
    BatchNorm,
    ChannelAffine,
    ClassAffine,
    NoAffine,
    VectorAffine,
    batch_moments,
    batch_norms_of,
    labelled_affine,
    standing_statistics,
)
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from tests.layers.batch_norm_worker import differentiate, inputs

ROOT = Path(__file__).parents[2]


def features(seed: int = 0, *, batch: int = 5) -> Tensor:
    return 2 + 3 * torch.randn(batch, 4, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_two_values_become_minus_one_and_one() -> None:
    normalized = BatchNorm(1, eps=1e-12)(torch.tensor([[3.0], [7.0]]))
    assert normalized.flatten().tolist() == [-1.0, 1.0]


def test_training_and_running_averages_are_pytorchs() -> None:
    ours, theirs = BatchNorm(4, eps=1e-4, momentum=0.2), nn.BatchNorm2d(4, eps=1e-4, momentum=0.2)
    for seed in range(3):
        torch.testing.assert_close(ours(features(seed)), theirs(features(seed)))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_variance, theirs.running_var)
    torch.testing.assert_close(ours.eval()(features(9)), theirs.eval()(features(9)))


def test_shifting_and_scaling_the_input_changes_nothing() -> None:
    layer = BatchNorm(4, eps=1e-12)
    torch.testing.assert_close(layer(features()), layer(10 * features() - 7), rtol=1e-4, atol=1e-5)


def test_without_running_averages_evaluation_equals_training() -> None:
    layer = BatchNorm(4, always_batch_statistics=True)
    trained = layer(features())
    moved = layer.running_mean.clone()
    assert torch.equal(layer.eval()(features()), trained)
    assert torch.equal(layer.running_mean, moved)


def test_statistics_stay_in_single_precision_under_autocast() -> None:
    """256 + small noise: in bf16, neighbours are 2 apart."""
    noisy = (256 + features()).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        normalized = BatchNorm(4)(noisy)
    assert normalized.dtype == torch.bfloat16
    torch.testing.assert_close(normalized.float(), BatchNorm(4)(noisy.float()), rtol=0.01, atol=0.01)


def test_a_condition_sets_gain_and_bias() -> None:
    affine = VectorAffine(4, condition_dim=2)
    layer = BatchNorm(4, affine=affine)
    condition = torch.randn(5, 2)
    gain, bias = condition @ affine.gain.weight.T, condition @ affine.bias.weight.T
    expected = BatchNorm(4, affine=NoAffine())(features()) * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
    torch.testing.assert_close(layer(features(), condition), expected)


def test_class_tables_start_as_plain_batch_normalization() -> None:
    layer = BatchNorm(4, affine=ClassAffine(4, number_of_classes=3))
    torch.testing.assert_close(layer(features(), torch.arange(5) % 3), BatchNorm(4)(features()))


def test_each_class_has_its_own_gain_and_bias_and_unused_ones_get_no_gradient() -> None:
    affine = ClassAffine(4, number_of_classes=3)
    layer = BatchNorm(4, affine=affine)
    labels = torch.tensor([0, 2, 0, 2, 2])
    layer(features(), labels).square().sum().backward()
    for table in (affine.gain, affine.bias):
        assert table.grad is not None
        assert [bool(row.any()) for row in table.grad] == [True, False, True]
        nn.init.normal_(table)
    normalized = BatchNorm(4, affine=NoAffine())(features())
    for sample, label in enumerate(labels):
        expected = normalized[sample] * (1 + affine.gain[label])[:, None, None] + affine.bias[label][:, None, None]
        torch.testing.assert_close(layer(features(), labels)[sample], expected)


def test_multi_hot_labels_add_their_classes_up() -> None:
    affine = ClassAffine(4, number_of_classes=3)
    layer = BatchNorm(4, affine=affine)
    nn.init.normal_(affine.gain)
    nn.init.normal_(affine.bias)
    labels = torch.arange(5) % 3
    one_hot = nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(layer(features(), one_hot), layer(features(), labels))


def test_without_classes_the_labels_affine_is_learned_for_each_channel() -> None:
    affine = labelled_affine(4, number_of_classes=0)
    assert isinstance(affine, ChannelAffine)
    layer = BatchNorm(4, affine=affine)
    nn.init.normal_(affine.gain)
    nn.init.normal_(affine.bias)
    expected = nn.functional.batch_norm(features(), None, None, affine.gain, affine.bias, training=True)
    assert torch.equal(layer(features()), expected)
    assert torch.equal(layer(features(), torch.arange(5) % 3), expected)  # labels are not used
    assert isinstance(labelled_affine(4, number_of_classes=3), ClassAffine)


@pytest.mark.parametrize("affine", [ChannelAffine(4), NoAffine(), ClassAffine(4, number_of_classes=3)])
def test_every_affine_keeps_the_dtype_of_the_features(affine: Affine) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert BatchNorm(4, affine=affine)(features().bfloat16(), torch.arange(5) % 3).dtype == torch.bfloat16


def test_spectral_normalization_takes_the_linear_maps_and_leaves_the_tables() -> None:
    affines = [VectorAffine(4, condition_dim=2), ClassAffine(4, number_of_classes=3)]
    network = nn.ModuleList(BatchNorm(4, affine=affine) for affine in affines)
    assert len(spectrally_normalized(network)) == 2


def test_standing_statistics_are_the_means_of_the_batches_statistics() -> None:
    layer = BatchNorm(4).eval()
    before = [buffer.clone() for buffer in (layer.running_mean, layer.running_variance)]
    with standing_statistics(layer):
        for seed in range(3):
            normalized = layer(features(seed))
            torch.testing.assert_close(normalized, BatchNorm(4)(features(seed)))  # of its own batch
    moments = [batch_moments(features(seed), across_ranks=False) for seed in range(3)]
    mean, variance = layer.evaluation_statistics()
    torch.testing.assert_close(mean, torch.stack([m for m, _, _ in moments]).mean(dim=0))
    torch.testing.assert_close(variance, torch.stack([v for _, v, _ in moments]).mean(dim=0))
    expected = nn.functional.batch_norm(features(9), mean, variance)
    torch.testing.assert_close(layer(features(9)), expected)
    assert torch.equal(layer.running_mean, before[0]) and torch.equal(layer.running_variance, before[1])


def test_standing_statistics_start_anew_and_can_be_forgotten() -> None:
    layer = BatchNorm(4).eval()
    plain = layer(features())
    for _ in range(2):
        with standing_statistics(layer):
            layer(features(1))
        assert layer.standing_batches == 1
    assert not torch.allclose(layer(features()), plain)
    layer.forget_standing()
    assert torch.equal(layer(features()), plain)


def test_standing_statistics_survive_a_state_dict() -> None:
    layer, restored = BatchNorm(4).eval(), BatchNorm(4).eval()
    with standing_statistics(layer):
        layer(features(1))
    restored.load_state_dict(layer.state_dict())
    assert torch.equal(restored(features()), layer(features()))


def test_every_layer_of_a_network_is_found() -> None:
    network = nn.Sequential(BatchNorm(4), BatchNorm(4, affine=VectorAffine(4, condition_dim=2)))
    assert len(batch_norms_of(network)) == 2


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    """Values, running averages, and gradients through a gradient penalty."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    worker = [str(ROOT / "tests" / "layers" / "batch_norm_worker.py"), str(tmp_path)]
    finished = subprocess.run([*launcher, *worker], env=environment, capture_output=True, text=True, timeout=280)
    assert finished.returncode == 0, finished.stderr[-3000:]
    network, one = differentiate(*inputs())
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    for name in ("logits", "image_gradient"):
        torch.testing.assert_close(torch.cat([rank[name] for rank in ranks]), one[name], rtol=1e-12, atol=1e-12)
    # Each rank's mean is of half as many samples.
    inputs_of_ranks = torch.cat([rank["input_gradient"] for rank in ranks]) / 2
    torch.testing.assert_close(inputs_of_ranks, one["input_gradient"], rtol=1e-12, atol=1e-12)
    for rank in ranks:
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(rank[f"gradient of {name}"], parameter.grad, rtol=1e-12, atol=1e-12)
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(rank[name], buffer, rtol=1e-12, atol=1e-12)
