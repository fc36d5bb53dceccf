"""What a page of HTML says, read by Python's own parser."""

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "input", "br"}


class ReadPage(HTMLParser):
    """The elements and texts of a page.

    Attributes:
        elements: names of all elements.
        images: attributes of all images.
        addresses: everything that a browser would load or follow.
        rows: the texts of the cells of each row of tables.
        texts: the texts of elements, by the name of the innermost element.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.images: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append(tag)
        self.addresses += [given[name] for name in ("src", "href", "srcset", "action", "data") if name in given]
        self.addresses += re.findall(r"url\((.*?)\)", given.get("style", ""))
        if tag == "img":
            self.images.append(given)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "elements are not nested"

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        self.texts.setdefault(self._open[-1], []).append(data)
        if self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.replace("\u00a0", " ")
        if self._open[-1] == "style":
            self.addresses += re.findall(r"url\((.*?)\)|@import\s+(\S+)", data)

    def cells(self, name: str) -> list[list[str]]:
        """The cells of all rows with a name."""
        return [row[1:] for row in self.rows if row[:1] == [name]]

    @property
    def text(self) -> str:
        """All texts of the page that a reader sees."""
        return "\n".join(text for tag, texts in self.texts.items() if tag not in ("style", "script") for text in texts)

    @property
    def elsewhere(self) -> list[str]:
        """Addresses that are not in the page."""
        return [address for address in self.addresses if not str(address).startswith(("data:", "#"))]
