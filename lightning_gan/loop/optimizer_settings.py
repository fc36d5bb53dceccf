"""The optimizers' settings when training goes on from a checkpoint: what the model's settings say now is used.

A checkpoint restores an optimizer together with its settings, so that a new learning rate would otherwise have no
effect. Each checkpoint therefore also contains the settings that the optimizers were made with. Only settings that
differ from these are changed: a rate that a callback has changed during training stays as it is.
"""

from typing import Any, TypeAlias

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from lightning_gan.loop.penalty_term import keep_states
from lightning_gan.loop.turn import PLAYERS

SAVED_AS = "optimizer_settings"
"""Key of the settings in a checkpoint."""

PlainSettings: TypeAlias = dict[str, Any]
"""Settings of one group of parameters by name, such as `{"lr": 0.001, "betas": [0.0, 0.99]}`."""


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """The class of an optimizer, and the settings of each of its groups of parameters, as plain data.

    Args:
        optimizer: an optimizer that has not taken a step yet.

    Example:
        >>> import torch
        >>> settings_of(torch.optim.SGD([torch.zeros(1)], lr=0.5))["groups"][0]["lr"]
        0.5
    """
    kind = type(optimizer)
    groups = [
        {name: _plain(group[name]) for name in optimizer.defaults if name in group} for group in optimizer.param_groups
    ]
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "groups": groups}


def check_same_class(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> None:
    """Check that both players have optimizers of the classes that the checkpoint was trained with.

    Args:
        then: settings of the players' optimizers in the checkpoint.
        now: settings of the players' optimizers as they have been made.

    Raises:
        ValueError: if a class differs, because the state of one optimizer has no meaning for another one.
    """
    for player, old, new in zip(PLAYERS, then, now, strict=True):
        if old["class"] != new["class"]:
            raise ValueError(
                f"training.{player}_optimizer={_short(new['class'])}, but the checkpoint was trained with "
                f"{_short(old['class'])}, whose state {_short(new['class'])} cannot use; leave "
                f"training.{player}_optimizer out to train on with {_short(old['class'])}, or begin anew with the "
                "weights (fit --weights in place of --ckpt_path)"
            )


def changes_of(then: PlainSettings, now: PlainSettings) -> PlainSettings:
    """The settings of one group that differ from those of the checkpoint, with their new values.

    Example:
        >>> changes_of({"lr": 0.1, "eps": 1e-8}, {"lr": 0.2, "eps": 1e-8})
        {'lr': 0.2}
    """
    return {name: value for name, value in now.items() if name in then and value != then[name]}


def apply_changes(group: dict[str, Any], changes: PlainSettings) -> None:
    """Set new values in a restored group of parameters.

    A schedule multiplies the learning rate `initial_lr`. This becomes the new rate, and the factor stays.

    Args:
        group: a group of the restored optimizer, which is changed in place.
        changes: names and new values.
    """
    for name, value in changes.items():
        if name != "lr":
            group[name] = tuple(value) if isinstance(value, list) else value
            continue
        base = group.get("initial_lr")
        factor = 1.0 if not base else float(group["lr"]) / base
        if base is not None:
            group["initial_lr"] = value
        rate = value * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


class AppliesOptimizerSettings(LightningModule):
    """Base class of modules of two players whose optimizers follow the module's settings after a resume."""

    _settings_now: list[dict[str, Any]] | None = None
    _settings_then: list[dict[str, Any]] | None = None
    _continues: bool = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self._settings_now is not None:
            checkpoint[SAVED_AS] = self._settings_now

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        try:
            self.trainer  # noqa: B018
        except RuntimeError:
            return  # `load_from_checkpoint` restores no optimizers
        # Penalties do it themselves in other modules. Here it is before Lightning remarks that their keys have changed.
        keep_states(self.trainer.callbacks, checkpoint)  # type: ignore[attr-defined]
        self._settings_then, self._continues = checkpoint.get(SAVED_AS), True
        if self._settings_now is not None:  # strategies that shard load a checkpoint after on_fit_start
            self._check_classes()

    def on_fit_start(self) -> None:
        super().on_fit_start()
        # Here the optimizers are complete, and a checkpoint has not been loaded into them yet.
        self._settings_now = [settings_of(optimizer) for optimizer in self.trainer.optimizers]
        self._check_classes()

    def on_train_start(self) -> None:
        super().on_train_start()
        if self._continues:
            self._follow_settings()
        self._settings_then, self._continues = None, False

    def _check_classes(self) -> None:
        if self._settings_then is not None and self._settings_now is not None:
            check_same_class(self._settings_then, self._settings_now)

    def _follow_settings(self) -> None:
        """Set what differs from the checkpoint's settings in the restored optimizers, and say it."""
        assert self._settings_now is not None
        for index, (player, optimizer) in enumerate(zip(PLAYERS, self.trainer.optimizers, strict=True)):
            now = self._settings_now[index]["groups"]
            if self._settings_then is None:
                _tell_what_is_kept(player, optimizer, now)
                continue
            said: dict[str, str] = {}
            for group, old, new in zip(optimizer.param_groups, self._settings_then[index]["groups"], now, strict=True):
                changes = changes_of(old, new)
                apply_changes(group, changes)
                said |= {name: f"{name}={value} (was {old[name]})" for name, value in changes.items()}
            if said:
                rank_zero_info(f"the {player}'s optimizer goes on with {', '.join(said.values())}")


def _tell_what_is_kept(player: str, optimizer: Optimizer, now: list[PlainSettings]) -> None:
    """Say which of the model's settings are not used, because the checkpoint is older than `SAVED_AS`."""
    kept: dict[str, str] = {}
    for group, new in zip(optimizer.param_groups, now, strict=True):
        old = {name: _plain(group[name]) for name in new if name in group}
        old["lr"] = _plain(group.get("initial_lr", group["lr"]))
        kept |= {name: f"{name}={old[name]} and not {value}" for name, value in changes_of(old, new).items()}
    if kept:
        rank_zero_warn(
            f"the {player}'s optimizer goes on with {', '.join(kept.values())}: the checkpoint does not contain the "
            "settings that it was trained with, so that a changed setting cannot be told from one that a schedule has "
            "changed; set the values in trainer.optimizers in a callback's on_train_start to change them"
        )


def _plain(value: Any) -> Any:
    """A setting as plain data, which a checkpoint restores with `weights_only=True` and which compares by value."""
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _short(class_path: str) -> str:
    return class_path.rsplit(".", 1)[-1]
