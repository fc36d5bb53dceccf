"""APA on two ranks under DDP: p, what is replaced, by what, and the weights are those of one process, resumed or not.

Modules of other people, and our own. The batches of both ranks, one behind the other, are those of one process.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_gan.callbacks import AdaptivePseudoAugmentation
from tests.callbacks.regularizers.pseudo_augmentation_worker import CASES, Translation, sampler, settings
from tests.equality import errors
from tests.foreign.games import NAMES, PAIRS, Items
from tests.toys import toy_trainer
from tests.two_ranks import run_on_one_and_two

Found = dict[str, dict[str, Any]]

WITH_APA = [case for case in CASES if case != "plain"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what every rank saw."""
    worker = "tests.callbacks.regularizers.pseudo_augmentation_worker"
    return run_on_one_and_two(worker, tmp_path_factory.mktemp("pseudo_augmentation"))


def of_ranks(folder: Path, case: str) -> tuple[Found, Found, Found]:
    """What one process saw, and the first and the second of two ranks."""
    one, first, second = (torch.load(folder / f"{case}_{name}.pt", weights_only=True) for name in ("1_0", "2_0", "2_1"))
    return one, first, second


@pytest.mark.slow
@pytest.mark.parametrize("case", WITH_APA)
def test_p_is_the_same_on_both_ranks_and_in_one_process(folder: Path, case: str) -> None:
    one, first, second = (ranks["whole"] for ranks in of_ranks(folder, case))
    assert one["p"] == first["p"] == second["p"]
    assert one["p"] == pytest.approx([0.4] * 3 + [0.48] * 3)
    for own in (first, second):
        torch.testing.assert_close(own["states"], one["states"], rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["other", "marking"])
def test_both_ranks_together_are_shown_the_images_of_one_process(folder: Path, case: str) -> None:
    """In all calls of all turns, with those of the penalties. Some real images are replaced, and some are not."""
    one, first, second = (ranks["whole"]["given"] for ranks in of_ranks(folder, case))
    plain = of_ranks(folder, "plain")[0]["whole"]["given"]
    assert len(one) == len(first) == len(second) > 0
    for whole, *parts in zip(one, first, second, strict=True):
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)
    factor = 0.5 if case == "marking" else 1.0
    stays = [torch.equal(mixed, factor * real) for mixed, real in zip(one[0], plain[0], strict=True)]
    assert {*stays[:4]} == {*stays[4:]} == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_end_with_the_weights_of_one_process(folder: Path, case: str) -> None:
    one, first, second = (ranks["whole"]["weights"] for ranks in of_ranks(folder, case))
    for own in (first, second):
        assert all(error < 1e-12 for error in errors(one, own).values())
    if case == "other":
        plain = of_ranks(folder, "plain")[0]["whole"]["weights"]
        assert max((one[name] - plain[name]).abs().max().item() for name in plain) > 1e-2


@pytest.mark.slow
def test_sharded_weights_end_like_those_of_one_process(folder: Path) -> None:
    one = of_ranks(folder, "other")[0]["whole"]["weights"]
    for rank in (0, 1):
        found: Found = torch.load(folder / f"shards_{rank}.pt", weights_only=True)
        sharded = found["whole"]["weights"]
        torch.testing.assert_close(sharded, {name: one[name] for name in sharded}, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_resume_of_sharded_weights_between_two_steps_of_p_changes_no_bit(folder: Path) -> None:
    for rank in (0, 1):
        found: Found = torch.load(folder / f"shards_{rank}.pt", weights_only=True)
        whole, resumed = found["whole"], found["resumed"]
        torch.testing.assert_close(resumed["weights"], whole["weights"], rtol=0, atol=0)
        torch.testing.assert_close(resumed["states"], whole["states"], rtol=0, atol=0)
        assert resumed["p"] == whole["p"][2:] == pytest.approx([0.4] + [0.48] * 3)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_resume_between_two_steps_of_p_changes_no_bit_on_one_rank_or_two(folder: Path, case: str) -> None:
    for rank in of_ranks(folder, case):
        whole, resumed = rank["whole"], rank["resumed"]
        torch.testing.assert_close(resumed["weights"], whole["weights"], rtol=0, atol=0)
        torch.testing.assert_close(resumed["states"], whole["states"], rtol=0, atol=0)
        assert resumed["p"] == whole["p"][2:]


def test_a_rank_takes_its_rows_of_the_images_that_one_process_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without processes: the rank and the number of ranks are pretended."""

    def shown(*, rank: int, ranks: int) -> Tensor:
        """The first images that the critic is given, of a batch of eight images over all ranks."""
        monkeypatch.setattr(LightningModule, "global_rank", rank)
        monkeypatch.setattr(Trainer, "world_size", ranks)
        size = 8 // ranks
        torch.manual_seed(1)
        module = Translation()
        apa = AdaptivePseudoAugmentation(sampler=sampler, **NAMES, **settings())
        loader = DataLoader(Items(PAIRS[rank * size : (rank + 1) * size]), batch_size=size)
        toy_trainer(apa, precision="64-true", limit_train_batches=1).fit(module, loader)
        return module.given[0]

    whole = shown(rank=0, ranks=1)
    torch.testing.assert_close(torch.cat([shown(rank=rank, ranks=2) for rank in (0, 1)]), whole, rtol=0, atol=1e-12)
    assert 0 < sum(torch.equal(mixed, real) for mixed, (_, real) in zip(whole, PAIRS, strict=False)) < 8
