"""What identifies a data set in a checkpoint, and the comparison with the data set of a resumed training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from lightning_gan.data.images import ImageSource
from lightning_gan.data.shown import listed
from lightning_gan.data.value_range import ValueRange, value_range_of
from lightning_gan.tensors.fingerprints import fingerprint_of_tensor

_REMEDY = "give the same data, or start a new run under another name (fit --weights CHECKPOINT begins with its weights)"


@final
@dataclass(frozen=True, kw_only=True)
class Identity:
    """The classes, the fingerprints and the range of values of a data set.

    Times of files are not part of it, and checksums are compared if both data sets have them, so that a copy on another
    disk, or an unpacked zip, is the same data set.

    Args:
        classes: names of the classes; empty if they have none or labels are not used.
        fingerprints: 16 hexadecimal digits each, by what they are made of, such as "labels".
        value_range: the values that -1 and 1 of float images stand for; None for bytes.
    """

    classes: tuple[str, ...]
    fingerprints: Mapping[str, str]
    value_range: ValueRange | None

    def state_dict(self) -> dict[str, Any]:
        """Returns the entries of a checkpoint."""
        return {
            "classes": list(self.classes),
            "fingerprints": dict(self.fingerprints),
            "value_range": None if self.value_range is None else [self.value_range.low, self.value_range.high],
        }

    def check_against(self, state_dict: Mapping[str, Any]) -> None:
        """Compares with the entries of a checkpoint. Checkpoints of earlier versions have none.

        Raises:
            ValueError: naming what differs.
        """
        saved = tuple(state_dict.get("classes", self.classes))
        if saved != self.classes:
            gone, new = sorted(set(saved) - set(self.classes)), sorted(set(self.classes) - set(saved))
            changes = [f"lack {listed(gone)}"] * bool(gone) + [f"have {listed(new)} in addition"] * bool(new)
            raise ValueError(
                f"the checkpoint was trained on {len(saved)} classes ({listed(saved)}), and those of the data "
                f"{' and '.join(changes) or f'are in another order ({listed(self.classes)})'}; {_REMEDY}"
            )
        then, now = value_range_of(state_dict.get("value_range")), self.value_range
        if then != now:
            raise ValueError(
                f"the checkpoint was trained with value_range={then or 'null'} and the data now has {now or 'null'}; "
                f"{_REMEDY}"
            )
        known = state_dict.get("fingerprints", {})
        different = [what for what, now in self.fingerprints.items() if known.get(what, now) != now]
        if different:
            raise ValueError(
                f"the checkpoint was trained on as many images, but the {' and the '.join(different)} of the data "
                f"differ from then; {_REMEDY}"
            )


def identity_of(source: ImageSource, *, labels: bool, value_range: ValueRange | None) -> Identity:
    """Returns what identifies a data set.

    Args:
        source: the images.
        labels: whether labels are used.
        value_range: the values that -1 and 1 of float images stand for; None for bytes.
    """
    used = source.labels if labels else None
    fingerprints = dict(source.origin.fingerprints)
    if used is not None:
        fingerprints["labels"] = fingerprint_of_tensor(used)
    classes = source.origin.class_names if labels else ()
    return Identity(classes=classes, fingerprints=fingerprints, value_range=value_range)
