"""What the package index shows: the README with links that resolve there, and the project's addresses.

The address of the repository stands in one place, `[tool.hatch.metadata.hooks.custom]` in pyproject.toml. With it,
relative links become absolute and the project gets its addresses. Without it, relative links become plain text, because
on an index they would lead nowhere. hatch-fancy-pypi-readme could do the first half, but not the second.
"""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?<!!)\[((?:!\[[^\]]*\]\([^)]*\)|[^\[\]])*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")
"""A link to a file of the repository, and what is shown for it: text, or an image."""

IMAGE = re.compile(r"!\[([^\]]*)\]\((?!https?://)([^)\s]+)\)")
"""An image in the repository."""

BRANCH = "main"


def readme_for_index(text: str, repository: str) -> str:
    """The README as the package index shows it.

    Args:
        text: the README with relative links.
        repository: address of the repository without a slash at the end, or "" if there is none yet.
    """
    if repository:
        text = LINK.sub(rf"[\1]({repository}/blob/{BRANCH}/\2)", text)
        return IMAGE.sub(rf"![\1]({repository}/raw/{BRANCH}/\2)", text)
    text = IMAGE.sub("", text)
    text = LINK.sub(r"\1", text)
    # Rows of the table of pictures keep their names.
    return re.sub(r"\| <br>", "| ", text)


def addresses(repository: str) -> dict[str, str]:
    """The project's addresses, as `[project.urls]` has them; empty without a repository."""
    if not repository:
        return {}
    return {
        "Homepage": repository,
        "Documentation": f"{repository}/blob/{BRANCH}/docs/index.md",
        "Repository": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/{BRANCH}/CHANGELOG.md",
    }


class ReadmeAndAddresses(MetadataHookInterface):
    """Fills in the dynamic fields `readme` and `urls`."""

    def update(self, metadata: dict[str, object]) -> None:
        """Set both fields.

        Args:
            metadata: the project's table in pyproject.toml.
        """
        repository = str(self.config.get("repository", "")).rstrip("/")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme_for_index(text, repository)}
        if repository:
            metadata["urls"] = addresses(repository)
