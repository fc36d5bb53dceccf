"""Pages of HTML: texts are escaped, and everything is inside the file."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from lightning_gan.inference.html_page import (
    LARGEST_SIDE,
    Headline,
    Section,
    curve_panels,
    headline_list,
    html_table,
    page,
    picture_at,
    picture_in,
    picture_series,
    pictures,
)
from lightning_gan.inference.run_figures import Curve
from lightning_gan.inference.run_tables import TextTable
from tests.inference.read_pages import ReadPage

STRANGE = "<script>alert('&amp;')</script> \"ü\" 数"


def png(height: int, width: int) -> bytes:
    """A picture that PNG cannot compress."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    contents = BytesIO()
    Image.fromarray(pixels).save(contents, format="PNG")
    return contents.getvalue()


def read(tmp_path: Path, *contents: Markup, folded: bool = False) -> ReadPage:
    sections = [Section(title="A part", content=content, is_folded=folded) for content in contents]
    path = tmp_path / "page.html"
    path.write_bytes(page(title=STRANGE, summary=STRANGE, head=Markup(""), sections=sections, footer=STRANGE))
    return ReadPage(path)


def test_texts_are_shown_as_they_are_and_are_no_elements(tmp_path: Path) -> None:
    table = TextTable(title=STRANGE, columns=[STRANGE], rows=[(STRANGE, [STRANGE])], notes=[STRANGE])
    picture = picture_in(png(2, 2), name=STRANGE, alt=STRANGE, caption=STRANGE)
    headline = Headline(name=STRANGE, value=STRANGE, error=STRANGE)
    curves = curve_panels([STRANGE, "other"], {"a < b & c": [Curve(run=0, kimg=[1.0, 2.0], values=[3.0, 4.0])]})
    shown = read(tmp_path, html_table(table), pictures([picture]), headline_list([headline]), curves)
    assert shown.rows == [["", STRANGE], [STRANGE, STRANGE]]
    assert shown.texts["h1"] == shown.texts["title"] == shown.texts["footer"] == [STRANGE]
    assert shown.texts["figcaption"] == [STRANGE] and shown.images[0]["alt"] == STRANGE
    assert shown.texts["dt"] == shown.texts["dd"] == [STRANGE] and shown.texts["small"] == [f"± {STRANGE}"]
    assert shown.texts["li"] == [STRANGE, "other"]
    assert "a < b & c" in shown.texts["text"]  # the title of the panel
    assert shown.elements.count("script") == 1  # the page's own


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    curves = curve_panels(["a"], {"loss": [Curve(run=0, kimg=[1.0, 2.0], values=[3.0, 4.0], errors=[0.1, 0.2])]})
    shown = read(tmp_path, curves, pictures([picture_in(png(2, 2), name="a", alt="a", caption="a")]))
    assert shown.elsewhere == []
    assert "Content-Security-Policy" in shown.source and "default-src" in shown.source  # a browser refuses it, too


def test_a_page_says_its_language_and_fits_small_screens(tmp_path: Path) -> None:
    shown = read(tmp_path, Markup("<p>text</p>"))
    assert '<html lang="en">' in shown.source and 'content="width=device-width, initial-scale=1"' in shown.source
    assert "prefers-color-scheme: dark" in shown.source and "@media print" in shown.source
    assert "#a-part" in shown.addresses and 'id="a-part"' in shown.source


def test_a_folded_section_is_closed_at_first(tmp_path: Path) -> None:
    shown = read(tmp_path, Markup("<p>text</p>"), folded=True)
    assert shown.texts["summary"] == ["A part"] and "<details>" in shown.source and "h2" not in shown.elements


def test_a_slider_chooses_among_pictures_that_are_all_there_without_a_script() -> None:
    shown = [picture_in(png(2, 2), name=name, alt=name, caption=name) for name in ("a", "b", "c")]
    text = picture_series(shown, label="Time")
    assert text.count("<img") == 3 and 'max="2"' in text and 'value="2"' in text
    assert text.count("hidden") == 1 and '<div class="slider" hidden>' in text  # without a script the slider is
    assert "slider" not in picture_series(shown[:1], label="Time")


def test_small_pictures_are_kept_byte_by_byte_and_large_ones_are_reduced_which_is_said(tmp_path: Path) -> None:
    small, large = png(20, 30), png(1000, 2000)
    (tmp_path / "small.png").write_bytes(small)
    kept = picture_at(tmp_path / "small.png", name="a", alt="a", caption="a")
    assert kept == picture_in(small, name="a", alt="a", caption="a")
    assert (kept.width, kept.height, kept.caption) == (30, 20, "a") and kept.source.startswith("data:image/png;base64,")
    reduced = picture_in(large, name="a", alt="a", caption="Samples.")
    assert (reduced.width, reduced.height) == (LARGEST_SIDE, LARGEST_SIDE // 2)
    assert reduced.caption == "Samples. Reduced from 2000x1000 to 1600x800 pixels."
    assert reduced.source.startswith("data:image/jpeg;base64,") and len(reduced.source) < len(large)


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image .* move it away"):
        picture_at(tmp_path / "a.png", name="a", alt="a", caption="a")


def test_a_curve_says_where_it_begins_and_ends_and_follows_the_colour_of_the_text() -> None:
    curves = [Curve(run=0, kimg=[1.0, 2.0], values=[3.0, 4.5]), Curve(run=6, kimg=[5.0], values=[6.0])]
    text = curve_panels(list("abcdefg"), {"loss": curves})
    assert 'aria-label="Curve of loss: a from 3 at 1 kimg to 4.5 at 2 kimg; g from 6 at 5 kimg to 6 at 5 kimg"' in text
    assert "#202020" not in text and "currentColor" in text  # the seventh colour is that of the text
    assert "<?xml" not in text and "<metadata" not in text
