"""What is refused in other people's modules is refused with the same line on both ranks, and no rank waits for another.

The expected words of each line are those of the tests in one process.
"""

import json
from pathlib import Path

import pytest

from tests.two_ranks import run_on_one_and_two

WORDS = {
    "unknown": "R1: the real images cannot be told: 'D' was called 3 times",
    "twice": "R1: real=0 and fake=0 name the same images",
    "never called": "DiffAugment: network='other' was not called in training mode",
    "no network": "InstanceNoise(network=...): Game has no network 'critic'; its networks are G, D",
    "arguments": "AdaptivePseudoAugmentation: sampler is a function of (module: tests.foreign.games.Game, count: int)",
    "no images": "AdaptivePseudoAugmentation: sampler returned a tensor [",
    "no sampler": "AdaptivePseudoAugmentation: Game is no lightning_gan.GAN",
    "no logs": "Trainer(log_every_n_steps=0) must be at least 1",
}


@pytest.mark.slow
def test_each_rank_ends_with_the_line_of_one_process(tmp_path: Path) -> None:
    folder = run_on_one_and_two("tests.foreign.refusals_worker", tmp_path)
    one, first, second = (json.loads((folder / f"messages_{name}.json").read_text()) for name in ("1_0", "2_0", "2_1"))
    assert one.keys() == first.keys() == second.keys() == WORDS.keys()
    for case, words in WORDS.items():
        assert words in first[case] and "\n" not in first[case]
        assert words in one[case]
        if case == "never called":  # a warning, which the first rank alone prints
            assert second[case] == ""
        else:
            assert second[case] == first[case]
