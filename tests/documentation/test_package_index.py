"""What the package index shows: links that lead somewhere, and the project's addresses, from one setting."""

import re
import tomllib

import pytest
import yaml
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from hatch_build import addresses, readme_for_index
from tests.documentation.pages import ROOT

README = (ROOT / "README.md").read_text()
REPOSITORY = "https://example.org/owner/lightning_gan"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def targets(text: str) -> list[str]:
    """What links and images of a Markdown text point to."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_every_relative_link_of_the_readme_leads_to_a_file() -> None:
    relative = [target for target in targets(README) if not target.startswith("https://")]
    assert len(relative) > 40
    assert [target for target in relative if not (ROOT / target.partition("#")[0]).is_file()] == []


def test_with_a_repository_every_link_is_absolute() -> None:
    shown = readme_for_index(README, REPOSITORY)
    assert len(targets(shown)) == len(targets(README))
    assert all(target.startswith("https://") for target in targets(shown))
    assert f"![stylegan]({REPOSITORY}/raw/main/docs/images/thumbnails/stylegan_digits.png)" in shown
    assert f"]({REPOSITORY}/blob/main/docs/index.md)" in shown


def test_without_one_no_link_leads_nowhere_and_the_text_stays() -> None:
    shown = readme_for_index(README, "")
    assert all(target.startswith("https://") for target in targets(shown))
    assert "which one, and which gamma" in shown and "`stylegan.yaml`<br>5.5" in shown
    assert "pip install -e . && python cli.py fit --config stylegan.yaml" in shown


@pytest.mark.parametrize(
    ("text", "with_repository", "without"),
    [
        ("[a](b.md)", f"[a]({REPOSITORY}/blob/main/b.md)", "a"),
        ("[a](https://x.org)", "[a](https://x.org)", "[a](https://x.org)"),
        ("[a](#b)", "[a](#b)", "[a](#b)"),
        ("![a](b.png)", f"![a]({REPOSITORY}/raw/main/b.png)", ""),
        ("[![a](b.png)](c.md)", f"[![a]({REPOSITORY}/raw/main/b.png)]({REPOSITORY}/blob/main/c.md)", ""),
    ],
)
def test_links_and_images(text: str, with_repository: str, without: str) -> None:
    assert readme_for_index(text, REPOSITORY) == with_repository
    assert readme_for_index(text, "") == without


def test_addresses_follow_the_repository() -> None:
    assert addresses("") == {}
    assert all(address.startswith(REPOSITORY) for address in addresses(REPOSITORY).values())
    assert {"Homepage", "Documentation", "Issues", "Changelog"} <= addresses(REPOSITORY).keys()


def test_the_hook_fills_in_what_the_project_declares_as_dynamic() -> None:
    metadata = ProjectMetadata(str(ROOT), PluginManager(), PROJECT)
    assert set(PROJECT["project"]["dynamic"]) == {"readme", "urls"}
    assert metadata.core.readme_content_type == "text/markdown"
    repository = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    assert metadata.core.readme == readme_for_index(README, repository)


def test_the_citation_has_the_version_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["title"]


def test_the_readme_is_short() -> None:
    words = len(re.sub(r"<!-- models: made.*?models: end -->", "", README, flags=re.DOTALL).split())
    assert words < 800
