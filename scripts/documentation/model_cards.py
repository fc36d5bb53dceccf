"""A model card for each configuration whose result docs/results.md has: what it is, what it came to, what it is not."""

import re
from pathlib import Path

from lightning.pytorch import LightningModule

from scripts.documentation.facts import DOCS, Config, configs, model_classes, overview, papers_in, rows_of
from scripts.documentation.model_pages import page_name, pictures_of, table

PROTOCOL = (
    "Fréchet distance of 2,500 samples to all 5,000 digits in the 64 features of the package's `DigitFeatures`, "
    "without truncation, averaged weights, seed 0. The floor is the distance between two random halves of the real "
    "digits. It is no FID, and comparable with other rows of the same table alone."
)

RETURNS = (
    "Undiscounted returns of 100 episodes with the policy's most likely actions and equal beginnings; "
    "[results](../results.md) has the confidence intervals, other seeds, and random and expert policies."
)

IMAGES = {
    "tags": ["gan", "unconditional-image-generation"],
    "use": "To try the package, to compare methods on a small problem, and as a smoke test of an installation. It "
    "makes digits of one small data set and nothing else.",
    "data": "5,000 handwritten digits of 28x28 pixels from MNIST, 500 of each class, in the package (CC BY-SA 3.0); "
    "their licence lies beside them in `lightning_gan/data/digits_license.md`.",
    "limits": "One seed, one run. Among 5,000 training images the network can learn images by heart; this was not "
    "measured. The networks are much narrower than the papers', and the numbers say nothing about the papers' results "
    "at full size.",
}
"""What holds for every model of digits."""

POLICIES = {
    "tags": ["reinforcement-learning", "imitation-learning"],
    "use": "To try imitation learning on a small task. The policies know this one task.",
    "data": "Demonstrations that come with the package, or none; gymnasium's environments.",
    "limits": "Small tasks, few seeds. They say nothing about the papers' tasks, which were not run.",
}
"""What holds for every policy."""

CODE = """\
```python title="After the run"
import lightning_gan

model = lightning_gan.load("runs/{stem}")
images = model.sample(16, seed=0)  # [-1, 1]
```"""


def carded() -> list[Config]:
    """The configurations that have a card."""
    return [config for config in configs() if config.name in overview() and "/" not in config.name]


def model_of(config: Config) -> type[LightningModule]:
    """The class of a configuration's model."""
    return next(kind for kind in model_classes() if kind.__name__ == config.class_name)


def result(measured: str, *, images: bool) -> str:
    """What a run came to, and by which protocol."""
    distance = re.fullmatch(r"([\d.]+) \(([\d.]+)\)", measured)
    if distance is not None:
        return f"**Fréchet distance {distance[1]}, {distance[2]} times the floor.**\n\n{PROTOCOL}"
    return f"**{measured}**" + ("" if images else f"\n\n{RETURNS}")


def model_card(config: Config) -> str:
    """The card of a configuration."""
    kind = model_of(config)
    images = kind.__module__.startswith("lightning_gan.models")
    texts = IMAGES if images else POLICIES
    what, minutes, measured = list(overview()[config.name].values())[1:4]
    head = ["---", "license: apache-2.0", "library_name: lightning_gan", "tags:"]
    head += [f"  - {tag}" for tag in ("pytorch", "lightning", *texts["tags"])]
    pictures = [path for path in pictures_of(kind) if path.stem.startswith(f"{config.stem}_")]
    rows = [row for row in rows_of(DOCS / "results.md", "configuration") if "kimg" in row]
    rows = [row for row in rows if row["configuration"] == f"`{config.name}`"]
    papers = ", ".join(f"[arXiv:{n}](https://arxiv.org/abs/{n})" for n in papers_in(" ".join(config.comment)))
    parts = [
        "\n".join([*head, "---"]),
        f"# {config.class_name}" if what.startswith("...") else f"# {what[0].upper()}{what[1:]}",
        f"`{config.name}` of lightning_gan. {config.first_sentence}",
        *(f"![Samples](../images/{path.name})" for path in pictures[:1]),
        "The weights are not part of the repository; the command below makes them. The licence is that of the code.",
        f"## Intended use\n\n{texts['use']}",
        f"## How to make and load it\n\n```sh\npython cli.py fit --config {config.name}\n```",
        *([CODE.format(stem=config.stem)] if images else []),
        f"## Training data\n\n{texts['data']}",
        f"## Training\n\nModel: [`{config.class_name}`](../models/{page_name(kind)}) ({papers}). "
        f"Time on a machine with two CPU cores: {minutes}. Every setting is in `configs/{config.name}`; "
        f"`runs/{config.stem}/config.yaml` repeats them after a run.",
        f"## Result\n\n{result(measured, images=images)}",
        *([table(list(rows[0]), [tuple(rows[0].values())])] if rows else []),
        f"## Limits\n\n{texts['limits']}",
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """The page that lists the cards."""
    measured = [(config, list(overview()[config.name].values())[3]) for config in carded()]
    rows = [(f"[`{config.name}`]({config.stem}.md)", config.class_name, number) for config, number in measured]
    return (
        "# Model cards\n\nOne for each configuration for the data in the package: what it is for, what it was trained "
        "on, what it came to and by which protocol. `python cli.py publish` writes such a card for a run of your own."
        f"\n\n{table(['configuration', 'model', 'result'], rows)}\n"
    )


def model_cards() -> dict[Path, str]:
    """The cards, and the page that lists them, by their paths."""
    folder = DOCS / "model_cards"
    return {folder / "index.md": index(), **{folder / f"{config.stem}.md": model_card(config) for config in carded()}}
