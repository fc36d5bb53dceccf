"""What the documents show runs."""

import doctest
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_on_a_new_regularizer_runs() -> None:
    results = doctest.testfile(
        str(ROOT / "CONTRIBUTING.md"),
        module_relative=False,
        optionflags=doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS,
    )
    assert results.attempted > 10
    assert results.failed == 0
