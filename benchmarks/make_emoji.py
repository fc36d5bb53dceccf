"""Draws a set of small coloured images with nine classes: emoji on white, from a font of the machine.

    apt-get install fonts-noto-color-emoji unicode-data
    python benchmarks/make_emoji.py emoji64 --size 64

The font is Noto Color Emoji (SIL Open Font License 1.1). The names and groups are those of Unicode's file
`emoji-test.txt`; every group is a folder, so that `fit --images emoji64 --labels` trains on nine classes. Signs that
the font draws as several are left out, and so are skin tones, unless `--skin_tones` is given.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
GROUPS = Path("/usr/share/unicode/emoji/emoji-test.txt")
FONT_SIZE = 109  # the only size of the font's bitmaps, which are 136 pixels wide and 128 high
CANVAS = 136
SKIN_TONES = range(0x1F3FB, 0x1F400)


def emoji(text: str) -> Iterator[tuple[str, str]]:
    """Every emoji of Unicode's file with the name of its group, in the file's order."""
    group = ""
    for line in text.splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ").replace("&", "and").replace(" ", "_").lower()
        elif "; fully-qualified" in line and group != "component":
            yield "".join(chr(int(code, 16)) for code in line.split(";")[0].split()), group


def drawn(sign: str, font: ImageFont.FreeTypeFont) -> Image.Image | None:
    """The image of an emoji on white; None if the font does not draw it as one."""
    if font.getlength(sign) > CANVAS + 1:
        return None
    canvas = Image.new("RGB", (CANVAS, CANVAS), "white")
    ImageDraw.Draw(canvas).text((CANVAS / 2, CANVAS / 2), sign, font=font, anchor="mm", embedded_color=True)
    return canvas if canvas.getcolors(1) is None else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=64, help="width and height in pixels")
    parser.add_argument("--skin_tones", action="store_true", help="also draw the five skin tones of people")
    parser.add_argument("--font", type=Path, default=FONT)
    parser.add_argument("--groups", type=Path, default=GROUPS)
    given = parser.parse_args()
    for path in (given.font, given.groups):
        if not path.is_file():
            parser.error(f"{path} does not exist; apt-get install fonts-noto-color-emoji unicode-data, or give a path")
    font = ImageFont.truetype(str(given.font), FONT_SIZE)
    count = left_out = 0
    for sign, group in emoji(given.groups.read_text(encoding="utf-8")):
        if not given.skin_tones and any(ord(character) in SKIN_TONES for character in sign):
            continue
        image = drawn(sign, font)
        if image is None:
            left_out += 1
            continue
        path = given.folder / group / f"{'_'.join(f'{ord(character):x}' for character in sign)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.resize((given.size, given.size), Image.Resampling.LANCZOS).save(path)
        count += 1
    print(f"{count} emoji in {given.folder}, {left_out} left out")


if __name__ == "__main__":
    main()
