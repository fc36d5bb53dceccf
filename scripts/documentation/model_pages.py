"""A page for each model, and the page that shows them all."""

import inspect
import re
import sys
from functools import cache
from pathlib import Path

from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.growable import Growable
from scripts.documentation.facts import (
    DOCS,
    ROOT,
    Config,
    arguments_of,
    as_markdown,
    class_text,
    configs,
    first_sentence,
    interop_of,
    model_classes,
    module_text,
    overview,
    papers_in,
    rows_of,
)

PICTURES = {
    "digits": "Samples after the run, not selected.",
    "reconstructions": "In groups of three rows: real digits, their reconstructions, and samples.",
    "interpolations": "Ways from one real digit to another, decoded.",
    "style_mixing": "Style mixing: images of sources A (left) with some styles of sources B (top).",
    "truncation": "The same latents with different truncations.",
}
"""What the pictures of a configuration show, by the end of their file names. Others are shown under these names."""


def page_name(kind: type) -> str:
    """The file of a model's page in docs/models."""
    return f"{kind.__name__.lower()}.md"


def own_configs(kind: type) -> list[Config]:
    """The complete configurations of a model: those for the data in the package first, then the papers'."""
    found = [config for config in configs() if config.class_name == kind.__name__]
    return sorted(found, key=lambda config: ("/" in config.name, config.name))


def small_configs(kind: type) -> list[Config]:
    """The configurations of a model that run on the data in the package."""
    return [config for config in own_configs(kind) if "/" not in config.name]


@cache
def pictures() -> dict[str, list[Path]]:
    """The pictures in docs/images by the configuration that made them."""
    found: dict[str, list[Path]] = {config.stem: [] for config in configs()}
    for path in sorted((DOCS / "images").glob("*.png")):
        owner = max((stem for stem in found if path.stem.startswith(f"{stem}_")), key=len, default=None)
        if owner is not None:
            found[owner].append(path)
    return found


def pictures_of(kind: type) -> list[Path]:
    """The pictures in docs/images that a model's configurations made: samples first, then as in `PICTURES`."""
    found = [path for config in small_configs(kind) for path in pictures()[config.stem]]
    return sorted(found, key=lambda path: next((n for n, end in enumerate(PICTURES) if path.stem.endswith(end)), 99))


def caption(path: Path) -> str:
    """What a picture shows."""
    ending = next((ending for ending in PICTURES if path.stem.endswith(f"_{ending}")), "")
    config = f"`{path.stem.removesuffix(f'_{ending}')}.yaml`"
    return f"{config}: {PICTURES[ending]}" if ending else f"`{path.name}`"


def title(kind: type) -> str:
    """The paper's title or the first line of the model's file."""
    return first_sentence(module_text(kind).split("\n\n")[0]).rstrip(".")


def properties(kind: type) -> str:
    """What kind of model it is, in words."""
    words = []
    if issubclass(kind, Autoencoder):
        words.append("has an encoder (`encode`, `decode`, `reconstruct`, `interpolate`)")
    names = [argument.name for argument in arguments_of(kind)]
    if "style_dim" in names:
        words.append("has styles (`styles`, `synthesize`, style mixing)")
    classes = [member for member in vars(sys.modules[kind.__module__]).values() if inspect.isclass(member)]
    networks = [one for one in classes if one.__module__ == kind.__module__ and not issubclass(one, GAN)]
    if any(issubclass(network, Growable) for network in networks):
        words.append("grows from 4x4")
    if kind.__module__.startswith("lightning_gan.imitation"):
        words.append("teaches a policy; there are no images")
    elif "number_of_classes" in names:
        meaning = next(a.meaning for a in arguments_of(kind) if a.name == "number_of_classes")
        words.append("takes no labels" if "must be 0" in meaning else "takes class labels")
    return ", ".join(words)


def facts_table(kind: type) -> str:
    """Papers, kind, configurations and what they came to."""
    papers = papers_in(module_text(kind) + class_text(kind))
    rows = [
        (
            "paper" if len(papers) == 1 else "papers",
            ", ".join(f"[arXiv:{n}](https://arxiv.org/abs/{n})" for n in papers),
        ),
        ("class", f"`{kind.__module__}.{kind.__name__}`"),
        ("kind", properties(kind)),
    ]
    for config in small_configs(kind):
        row = overview().get(config.name)
        if row is not None:
            what, minutes, measured = list(row.values())[1:4]
            unit = "Fréchet distance (times its floor) " if re.match(r"[\d.]+ \(", measured) else ""
            rows.append((f"`{config.name}`", f"{what}; {minutes} on a machine with two CPU cores; {unit}{measured}"))
    return table(["", ""], [row for row in rows if row[1]])


def table(heads: list[str], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def details(summary: str, text: str) -> str:
    """A part of a page that is closed at first, on the site and where the repository is shown."""
    return f'<details markdown="1">\n<summary>{summary}</summary>\n\n{text}\n\n</details>'


def start(kind: type) -> str:
    """The commands that train it."""
    small = small_configs(kind)
    if not small:
        name = next(config.name for config in own_configs(kind) if config.name.startswith("paper/"))
        return (
            "No configuration here is small enough for a CPU. The paper's settings, or your own data:\n\n"
            f"```sh\npython cli.py fit --config {name}\n```"
        )
    lines = [f"python cli.py fit --config {config.name}" for config in small]
    if kind.__module__.startswith("lightning_gan.models"):
        lines.append(f"python cli.py generate runs/{small[0].stem}")
    return "```sh\n" + "\n".join(lines) + "\n```"


def settings(kind: type) -> str:
    """The constructor's arguments."""
    rows = [(f"`{a.name}`", f"`{a.default}`" if a.default else "", cell(a.meaning)) for a in arguments_of(kind)]
    if not rows:
        return ""
    text = table(["argument", "default", "meaning"], rows)
    training = "`training` holds the loss, both optimizers and the settings of the loop: `fit --model.help Training`."
    return f"## Settings\n\n`--model.ARGUMENT VALUE` on the command line. {training}\n\n{text}"


def cell(text: str) -> str:
    """A text in a cell of a table."""
    return text.replace("|", "\\|")


def configurations(kind: type) -> str:
    """The files, and for papers' settings what they expect."""
    parts = ["## Configurations"]
    for config in small_configs(kind):
        parts.append(f"`{config.name}`: {config.first_sentence}")
        parts.append(details(f"All of {config.name}", f"```yaml\n{config.text.rstrip()}\n```"))
    papers = [config for config in own_configs(kind) if config.name.startswith("paper/")]
    if papers:
        rows = [(f"`{config.name}`", cell(config.first_sentence), cell(expected(config))) for config in papers]
        parts += [
            "The papers' settings at full size. **We have not reproduced these numbers**; each file says where its "
            "number is from, which data it needs, and what differs from the authors.",
            table(["configuration", "what it is", "expected"], rows),
        ]
    return "\n\n".join(parts) if len(parts) > 1 else ""


def expected(config: Config) -> str:
    """What a paper's configuration says about the number to expect: from "Expected" to the end of that sentence."""
    found = re.search(r"Expected (.*?)(?:\.\s|\.$)(?!\d)", " ".join(config.comment))
    return found[1].replace(": ", " ", 1) if found else ""


def verified(kind: type) -> str:
    """The row of docs/fidelity.md."""
    row = next(
        (row for row in rows_of(DOCS / "fidelity.md", "model") if row["model"].strip("`") == kind.__name__), None
    )
    if row is None:
        return ""
    lines = [f"- **{head}**: {text}" for head, text in row.items() if head != "model"]
    lines = [line.replace("](results.md)", "](../results.md)") for line in lines]
    return (
        "## What is verified, and what differs\n\n"
        + "\n".join(lines)
        + ("\n\nHow errors are measured, and what the words in this list mean: [fidelity](../fidelity.md).")
    )


def costs(kind: type) -> str:
    """The rows of docs/results.md about it: the digits and the throughput at the paper's size."""
    parts = ["## What it costs"]
    names = [f"`{config.name}`" for config in small_configs(kind)]
    found = [
        row for row in rows_of(DOCS / "results.md", "configuration") if row["configuration"] in names and "kimg" in row
    ]
    if found:
        parts.append(table(list(found[0]), [tuple(row.values()) for row in found]))
    label = re.compile(rf"{kind.__name__.lower()}(?:,|$)")
    speeds = [row for row in rows_of(DOCS / "results.md", "model") if "img/s" in row]
    speeds = [row for row in speeds if label.match(row["model"].lower().replace("-", ""))]
    if speeds:
        parts += [
            "Training at the paper's size on one H200 in bf16, both turns with penalties:",
            table(list(speeds[0]), [tuple(row.values()) for row in speeds]),
        ]
    parts.append("How these were measured, and what else was tried: [results](../results.md).")
    return "\n\n".join(parts) if len(parts) > 2 else ""


def weights(kind: type) -> str:
    """Whose weights can be imported."""
    found = interop_of(kind)
    if not found:
        return ""
    lines = [f"- `lightning_gan.interop.{name}`: {text}" for name, text in found]
    return (
        "## Weights from elsewhere\n\n"
        + "\n".join(lines)
        + "\n\nSee [weights from elsewhere](../weights_from_elsewhere.md)."
    )


def model_page(kind: type) -> str:
    """The whole page of a model."""
    lead, _, rest = module_text(kind).partition("\n\n")
    pictures = [f"![{caption(path)}](../images/{path.name})\n\n{caption(path)}" for path in pictures_of(kind)]
    parts = [
        f"# {kind.__name__}",
        lead,
        facts_table(kind),
        *pictures[:1],
        "## Start",
        start(kind),
        f"## The paper, and what we do\n\n{as_markdown(rest)}" if rest else "",
        f"## Training it\n\n{as_markdown(class_text(kind))}",
        *([] if len(pictures) < 2 else ["## Pictures", *pictures[1:]]),
        settings(kind),
        configurations(kind),
        verified(kind),
        costs(kind),
        weights(kind),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def gallery() -> str:
    """The page that shows all models."""
    rows = []
    for kind in model_classes():
        link = f"[{kind.__name__}]({page_name(kind)})"
        small = [path for path in pictures_of(kind) if thumbnail(path).is_file()]
        # Of models with both, samples say more than reconstructions.
        small = [path for path in small if path.stem.endswith("_digits")] or small
        shown = "<br>".join(f"[![{path.stem}](../images/thumbnails/{path.name})]({page_name(kind)})" for path in small)
        names = ", ".join(f"`{config.name}`" for config in small_configs(kind))
        measured = [overview()[c.name] for c in small_configs(kind) if c.name in overview()]
        numbers = "<br>".join(list(row.values())[3] for row in measured)
        rows.append((shown, link, cell(title(kind)), names, numbers))
    text = (
        "Each model is one file, with the layers, the losses and the constants of its paper. The pictures are samples "
        "of the configurations for the 5,000 embedded digits, which take minutes on two CPU cores; the numbers are "
        "Fréchet distances in the digits' own features, in parentheses as multiples of the distance between two "
        "halves of the real digits ([results](../results.md))."
    )
    return f"# Models\n\n{text}\n\n{table(['', 'model', 'paper', 'configurations', 'on the digits'], rows)}\n"


def thumbnail(path: Path) -> Path:
    """The small version of a picture."""
    return path.parent / "thumbnails" / path.name


def model_pages() -> dict[Path, str]:
    """All pages in docs/models, by their paths."""
    assert all(issubclass(kind, GAN) for kind in model_classes())
    folder = ROOT / "docs" / "models"
    pages = {folder / page_name(kind): model_page(kind) for kind in model_classes()}
    return {folder / "index.md": gallery(), **pages}
