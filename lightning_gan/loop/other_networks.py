"""Explains in one line why a checkpoint does not fit a model, where torch lists every tensor of other shape."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.compat import split_hyperparameters


def differing_settings(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """Settings with different values, as text. Settings of the training, which make no networks, are left out.

    Args:
        now: hyperparameters of the model.
        then: hyperparameters in the checkpoint.

    Example:
        >>> differing_settings({"width": 8, "training": 1}, {"width": 16, "training": 2})
        ['width=8 here and width=16 in the checkpoint']
    """
    return [
        f"{name}={now[name]} here and {name}={value} in the checkpoint"
        for name, value in then.items()
        if name in now and name != "training" and now[name] != value
    ]


def differing_tensors(now: Mapping[str, Tensor], then: Mapping[str, Tensor]) -> list[str]:
    """Tensors that are missing on one side or have different shapes, as text.

    Args:
        now: state dict of the model.
        then: state dict in the checkpoint.
    """
    shapes = [
        f"{name} of shape {tuple(tensor.shape)} here and {tuple(then[name].shape)} in the checkpoint"
        for name, tensor in now.items()
        if name in then and tensor.shape != then[name].shape
    ]
    missing = [f"{name}, which the checkpoint does not have" for name in now if name not in then]
    return [*shapes, *missing, *(f"{name}, which the model does not have" for name in then if name not in now)]


CLASS_PATH = "model_class_path"
"""Key of a checkpoint's entry that names the class of the model."""


def model_in(checkpoint: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The class path of a checkpoint's model, and the model's hyperparameters.

    Args:
        checkpoint: content of a checkpoint. Those of Lightning's own modules name no class, which is then None.
    """
    of_command_line, hyperparameters = split_hyperparameters(checkpoint.get("hyper_parameters", {}))
    return of_command_line or checkpoint.get(CLASS_PATH), hyperparameters


class ExplainsOtherNetworks(LightningModule):
    """Base class of modules that name the setting by which a checkpoint's networks differ from theirs."""

    _hyperparameters_then: dict[str, Any] | None = None
    _class_then: str | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[CLASS_PATH] = f"{type(self).__module__}.{type(self).__qualname__}"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._class_then, self._hyperparameters_then = model_in(checkpoint)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights and counters.

        Raises:
            ValueError: if the networks of a checkpoint are not those of this model.
        """
        then, self._hyperparameters_then = self._hyperparameters_then, None
        try:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        except RuntimeError as error:
            if then is None:
                raise  # this is no checkpoint of a training
            name = type(self).__name__
            if self._class_then is not None and self._class_then.rsplit(".", 1)[-1] != name:
                raise ValueError(
                    f"the model is a {name}, and the checkpoint is one of {self._class_then}; give the model of the "
                    "checkpoint, or begin anew with what fits of its weights (fit --weights in place of --ckpt_path)"
                ) from error
            found = differing_settings(self.hparams, then) or differing_tensors(self.state_dict(), state_dict)
            more = f" ({len(found) - 3} more)" if len(found) > 3 else ""
            raise ValueError(
                f"{name} does not fit the checkpoint: {'; '.join(found[:3])}{more}; "
                "give the model of the checkpoint, or begin anew with what fits of its weights (fit --weights in place "
                "of --ckpt_path)"
            ) from error
