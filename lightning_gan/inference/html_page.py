"""Builds a page of HTML that is one file: pictures, styles and the script are in it, and it asks for nothing else.

Texts are put into `Markup`, which escapes them. So a name such as `<b>` is shown and is no element of the page.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from lightning_gan.inference.run_figures import INK, Curve, color_of, curve_svg, dashes_of, opened
from lightning_gan.inference.run_tables import TextTable

LARGEST_BYTES = 2_000_000
"""Size of a picture's file above which a smaller picture takes its place in a page."""

LARGEST_SIDE = 1600
"""Width and height in pixels of that smaller picture, at most."""

PIXELS = 1100
"""Width in pixels up to which pictures are shown in their own size on a wide screen, so that pixels stay sharp."""

_FOLDER = Path(__file__).parent

_PAGE = Markup(
    """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{summary}</p>
{head}
</header>
<nav aria-label="Sections">
{links}
</nav>
<main>
{sections}
</main>
<footer>{footer}</footer>
<script>
{script}</script>
</body>
</html>
"""
)

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What a browser may load for the page: nothing that is not in the file."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        content: its elements.
        is_folded: whether it is closed until the reader opens it.
    """

    title: str
    content: Markup
    is_folded: bool = False

    @property
    def anchor(self) -> str:
        """The name of the part in the address of the page."""
        return re.sub(r"\W+", "-", self.title.lower())

    def html(self) -> Markup:
        """The part as an element."""
        inner = Markup("<h2>{}</h2>\n{}").format(self.title, self.content)
        if self.is_folded:
            inner = Markup("<details>\n<summary>{}</summary>\n{}\n</details>").format(self.title, self.content)
        return Markup('<section id="{}">\n{}\n</section>').format(self.anchor, inner)


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A number that stands large at the top of a page.

    Attributes:
        name: what it is.
        value: the number as text.
        error: its standard error as text; empty if it is not known.
    """

    name: str
    value: str
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture inside a page.

    Attributes:
        name: a short name, which is shown when it is chosen among others.
        alt: what it shows, for readers who cannot see it.
        caption: the sentence below it.
        source: its contents as an address.
        width: its width in pixels.
        height: its height in pixels.
    """

    name: str
    alt: str
    caption: str
    source: str
    width: int
    height: int


def page(*, title: str, summary: str, head: Markup, sections: Sequence[Section], footer: str) -> bytes:
    """The contents of the file of a page.

    Args:
        title: its title and first heading.
        summary: the sentence below.
        head: elements before the first part; may be empty.
        sections: its parts.
        footer: a sentence at the end.
    """
    links = Markup("\n").join(Markup('<a href="#{}">{}</a>').format(part.anchor, part.title) for part in sections)
    return _PAGE.format(
        policy=_POLICY,
        title=title,
        summary=summary,
        head=head,
        footer=footer,
        links=links,
        sections=Markup("\n").join(part.html() for part in sections),
        style=Markup((_FOLDER / "html_page.css").read_text(encoding="utf-8")),
        script=Markup((_FOLDER / "html_page.js").read_text(encoding="utf-8")),
    ).encode()


def sentences(texts: Sequence[str]) -> Markup:
    """A paragraph for each text.

    Args:
        texts: the texts.
    """
    return Markup("\n").join(Markup('<p class="note">{}</p>').format(text) for text in texts)


def html_table(table: TextTable) -> Markup:
    """A table in a box that scrolls by itself, and its notes; the title is left to the section.

    Args:
        table: the table.
    """
    if not table.rows:
        return sentences(table.notes)
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in table.columns)
    rows = Markup("\n").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            # Spaces that do not break, so that a number and its error stay on one line.
            name,
            Markup("").join(Markup("<td>{}</td>").format(cell.replace(" ± ", "\u00a0±\u00a0")) for cell in cells),
        )
        for name, cells in table.rows
    )
    return Markup(
        '<div class="scroll" role="region" aria-label="{}" tabindex="0">\n<table>\n'
        "<thead><tr><td></td>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table>\n</div>\n{}"
    ).format(table.title, head, rows, sentences(table.notes))


def headline_list(headlines: Sequence[Headline]) -> Markup:
    """Large numbers with their names and errors.

    Args:
        headlines: the numbers.
    """
    cards = []
    for one in headlines:
        error = Markup("<small>± {}</small>").format(one.error) if one.error else ""
        cards.append(Markup("<div><dt>{}</dt><dd>{}{}</dd></div>").format(one.name, one.value, error))
    return Markup('<dl class="headlines">\n{}\n</dl>').format(Markup("\n").join(cards))


def curve_panels(names: Sequence[str], curves: Mapping[str, Sequence[Curve]]) -> Markup:
    """A panel for each number, and a legend if there are several runs.

    Args:
        names: names of the runs.
        curves: curves of each number.
    """
    entries = Markup("\n").join(
        Markup(
            '<li><svg width="30" height="8" aria-hidden="true"><line x1="0" y1="4" x2="30" y2="4" stroke="{}" '
            'stroke-width="2" stroke-dasharray="{}"/></svg>{}</li>'
        ).format(
            color_of(place).replace(INK, "currentColor"),
            " ".join(f"{2 * length:g}" for length in dashes_of(place)),
            name,
        )
        for place, name in enumerate(names)
    )
    legend = Markup('<ul class="legend">\n{}\n</ul>\n').format(entries) if len(names) > 1 else ""
    panels = []
    for number, own in curves.items():
        ways = (
            f"{names[curve.run]} from {curve.values[0]:.4g} at {curve.kimg[0]:g} kimg to {curve.values[-1]:.4g} at "
            f"{curve.kimg[-1]:g} kimg"
            for curve in own
        )
        # Groups have the same names in all drawings, and nothing refers to them.
        drawing = re.sub(r'<g id="[^"]*"', "<g", curve_svg(number, own)).replace(INK, "currentColor")
        panels.append(
            Markup('<figure role="img" aria-label="{}">\n{}</figure>').format(
                f"Curve of {number}: {'; '.join(ways)}", Markup(drawing)
            )
        )
    return Markup('{}<div class="curves">\n{}\n</div>').format(legend, Markup("\n").join(panels))


def picture_at(path: Path, *, name: str, alt: str, caption: str) -> Picture:
    """A picture of a file.

    Args:
        path: path of the file.
        name: short name, which is shown when it is chosen among others.
        alt: what it shows, for readers who cannot see it.
        caption: sentence below it.

    Raises:
        ValueError: if the file cannot be read as a picture.
    """
    return _picture(path.read_bytes(), opened(path), name=name, alt=alt, caption=caption)


def picture_in(contents: bytes, *, name: str, alt: str, caption: str) -> Picture:
    """A picture of the contents of a PNG file.

    Args:
        contents: the contents.
        name: short name, which is shown when it is chosen among others.
        alt: what it shows, for readers who cannot see it.
        caption: sentence below it.
    """
    with Image.open(BytesIO(contents)) as picture:
        return _picture(contents, picture.convert("RGB"), name=name, alt=alt, caption=caption)


def pictures(shown: Sequence[Picture]) -> Markup:
    """Pictures beside each other, with their captions.

    Args:
        shown: the pictures.
    """
    if len(shown) == 1:
        return _figure(shown[0])
    return Markup('<div class="pictures">\n{}\n</div>').format(Markup("\n").join(map(_figure, shown)))


def picture_series(shown: Sequence[Picture], *, label: str) -> Markup:
    """Pictures of which a slider chooses one. Without a script, and on paper, they are all there.

    Args:
        shown: the pictures, in order.
        label: what the slider chooses.
    """
    if len(shown) == 1:
        return _figure(shown[0])
    last = len(shown) - 1
    slider = Markup(
        '<div class="slider" hidden><label>{0} <input type="range" min="0" max="{1}" step="1" value="{1}"></label>'
        "<output></output></div>"
    ).format(label, last)
    return Markup('<div class="series">\n{}\n{}\n</div>').format(slider, pictures(shown))


def _figure(picture: Picture) -> Markup:
    kind = Markup(' class="pixels"') if picture.width <= PIXELS else ""
    return Markup(
        '<figure data-name="{}"><img{} src="{}" width="{}" height="{}" alt="{}"><figcaption>{}</figcaption></figure>'
    ).format(picture.name, kind, picture.source, picture.width, picture.height, picture.alt, picture.caption)


def _picture(contents: bytes, picture: Image.Image, *, name: str, alt: str, caption: str) -> Picture:
    """The picture as it is if its file is small; otherwise a smaller one, which the caption says."""
    kind = "png"
    if len(contents) > LARGEST_BYTES:
        width, height = picture.size
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        reduced = BytesIO()
        picture.save(reduced, format="JPEG", quality=90)
        contents, kind = reduced.getvalue(), "jpeg"
        caption = f"{caption} Reduced from {width}x{height} to {picture.width}x{picture.height} pixels."
    source = f"data:image/{kind};base64,{b64encode(contents).decode()}"
    return Picture(name=name, alt=alt, caption=caption, source=source, width=picture.width, height=picture.height)
