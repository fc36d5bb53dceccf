"""Writes the generated pages, and removes those of parts that are gone."""

from scripts.documentation.pages import is_generated, marked, pages, thumbnails_missing
from scripts.documentation.thumbnails import make_thumbnail

if __name__ == "__main__":
    for picture in thumbnails_missing():
        make_thumbnail(picture)
    wanted = pages()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(marked(path, text), encoding="utf-8")
    for path in {path.parent for path in wanted}:
        for old in path.glob("*.md"):
            if old not in wanted and is_generated(old):
                old.unlink()
    print(f"{len(wanted)} pages")
