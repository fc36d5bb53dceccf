"""The README of a published model: what it is, what it was trained on, what was measured, and how it is loaded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from lightning_gan.inference.load import LoadedModel

CARD = """\
---
{header}---

# {title}

{summary}

![samples](samples.png)

{pictures}

## Use

```python
import lightning_gan

model = lightning_gan.load("PATH/TO/THIS/FOLDER")
images = model.sample(16, seed=0)  # floats in [-1, 1], batch x channels x height x width
```

From a hub, `lightning_gan.inference.hub.from_pretrained("USER/NAME")` downloads the folder and loads it. The package is
`lightning-gan`, with safetensors: `pip install 'lightning-gan[hub]'`. The weights are those of the sampled
generator{encoder}; a discriminator is not among them. `lightning-gan fit --weights PATH/TO/THIS/FOLDER` trains on.

## Network

{network}

## Training

{training}

## Measurements

{measurements}

## License of the weights

{license}
"""


@dataclass(frozen=True, kw_only=True)
class License:
    """The license that the publisher has chosen for the weights.

    Attributes:
        identifier: its SPDX identifier, such as "Apache-2.0", or one of the publisher's own, "LicenseRef-...".
        file: file with its text; None if there is none.
    """

    identifier: str
    file: Path | None

    def header(self) -> dict[str, str]:
        """The entries of a card's header, in the form of the Hugging Face hub."""
        if not self.identifier.startswith("LicenseRef-"):
            return {"license": self.identifier.lower()}
        name = self.identifier.removeprefix("LicenseRef-").lower()
        return {"license": "other", "license_name": name, "license_link": "LICENSE"}


def model_card(
    loaded: LoadedModel,
    *,
    title: str,
    license_: License,
    shape: tuple[int, int, int],
    pictures: str,
    run: Mapping[str, Any] | None,
    records: Sequence[Mapping[str, Any]],
    encodes: bool,
) -> str:
    """The text of the README.

    Args:
        loaded: the model.
        title: name of the model.
        license_: license of the weights.
        shape: channels, height and width of the images.
        pictures: a sentence about the samples.
        run: settings of the run that trained it; None if they are not known.
        records: what was measured.
        encodes: whether the encoder is published, too.
    """
    model, kind = loaded.model, type(loaded.model).__name__
    channels, height, width = shape
    is_conditional = bool(model.number_of_classes)
    task = {} if is_conditional else {"pipeline_tag": "unconditional-image-generation"}
    tags = ["gan", "image-generation", kind.lower(), *(["class-conditional"] if is_conditional else [])]
    of_networks = {name: value for name, value in loaded.settings.items() if name != "training"}
    header = {**license_.header(), "library_name": "lightning-gan", "tags": tags, **task}
    of_channels = f"{channels} channel{'s' * (channels != 1)}"
    classes = f", of {model.number_of_classes} classes" if is_conditional else ""
    values = f"-1 and 1 stand for the values {loaded.value_range} of the data. " if loaded.value_range else ""
    trained = f", trained on {model.images_seen:,} images" if model.images_seen else ""
    return CARD.format(
        header=yaml.safe_dump(header, sort_keys=False),
        title=title,
        summary=f"A {kind} that makes images of {width}x{height} pixels and {of_channels}{classes}{trained}. "
        f"{values}{_first_sentence(loaded)}",
        pictures=pictures,
        encoder=" and of the encoder" if encodes else "",
        network=_table({"class": loaded.class_path, **_flat(of_networks)}),
        training=_training(run),
        measurements=_measurements(records, kimg=model.kimg),
        license=license_.identifier + (" (see LICENSE)." if license_.file is not None else "."),
    )


def _first_sentence(loaded: LoadedModel) -> str:
    """What the module of the model says it is: the title of the paper and where it is found."""
    module = import_module(type(loaded.model).__module__)
    paragraphs = (module.__doc__ or "").strip().split("\n\n")
    return " ".join(" ".join(paragraphs[:2]).split())


def _training(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "The settings of its training are not known: the checkpoint is not in the folder of a run."
    of_model = (run.get("model") or {}).get("init_args") or {}
    given = {"data": run.get("data") or {}, "training": of_model.get("training") or {}}
    rows = {name: value for name, value in _flat(given).items() if value is not None}
    callbacks = (run.get("trainer") or {}).get("callbacks") or []
    for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
        if isinstance(callback, Mapping):
            name = str(callback.get("class_path", "")).rpartition(".")[2]
            arguments = callback.get("init_args") or {}
            said = [f"{key}={value}" for key, value in arguments.items() if value is not None]
            rows[name] = ", ".join(said) or "its defaults"
    return f"{_table(rows)}\n\nAll settings are in `training.yaml`, which `lightning-gan fit --config` takes."


def _measurements(records: Sequence[Mapping[str, Any]], *, kimg: float) -> str:
    own = [record for record in records if record.get("kimg") == kimg]
    if not own:
        return "Nothing was measured of these weights."
    parts = []
    for record in own:
        settings = ", ".join(
            f"{name.replace('_', ' ')} {value}"
            for name, value in record.items()
            if name not in ("metrics", "checkpoint", "trained_here", "weights") and value is not None
        )
        rows = {name.replace("_", " "): f"{value:.4f}" for name, value in record["metrics"].items()}
        parts.append(f"{_table(rows)}\n\nMeasured with: {settings}.")
    caution = (
        "Numbers of other extractors, of other counts of images and of other truncations cannot be compared with these."
    )
    return "\n\n".join([*parts, caution])


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value)).replace("|", "\\|")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names, without the level `init_args`."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, prefix if name == "init_args" else f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return found
