"""The commands `fit`, `validate` and `test`: Lightning's command line, extended by links from the data to the model."""

import json
import shlex
import sys
from argparse import HelpFormatter
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

import lightning_gan.callbacks
import lightning_gan.data
import lightning_gan.imitation
import lightning_gan.models  # noqa: F401  (the parser finds imported classes without their module's name)
from lightning_gan.cli.callback_options import apply_options, help_of_callbacks
from lightning_gan.cli.configs import read_config, shown_config
from lightning_gan.cli.configured_callbacks import CallbackList, callbacks_of
from lightning_gan.cli.errors import CommandLineError, explain
from lightning_gan.cli.facts_of_data import FACTS_OF_DATA, fact_of
from lightning_gan.cli.image_options import HELP as HELP_OF_IMAGES
from lightning_gan.cli.invocation import Invocation
from lightning_gan.cli.model_line import model_line
from lightning_gan.cli.option_values import asks_for_help, take_values
from lightning_gan.cli.other_data import data_in_place_of_digits, for_other_data
from lightning_gan.cli.protocol_option import HELP as HELP_OF_PROTOCOLS
from lightning_gan.cli.protocol_option import with_torch_fidelity
from lightning_gan.cli.runs import CONFIG, check_writable, new_run, run_of_checkpoint, tell
from lightning_gan.cli.scored_images import HELP as HELP_OF_SCORED_IMAGES
from lightning_gan.cli.settings_checks import check_end, check_epochs, check_settings, frozen_at_random
from lightning_gan.cli.told import told_in_one_line, told_of_building
from lightning_gan.cli.trainer_settings import TRAINER_DEFAULTS, silence_remarks, trainer_settings
from lightning_gan.compat import IgnoresCheckpointSettings, option_names, split_hyperparameters, subcommand_parser
from lightning_gan.inference.weights import load_weights, model_settings_in
from lightning_gan.loop.checkpointing import read_checkpoint
from lightning_gan.loop.gan import GAN

SEEDS = {"model": "training.seed", "data": "seed"}
"""Arguments that take the value of `seed_everything` unless the user gives them."""

LINKED = {"model": (*FACTS_OF_DATA, SEEDS["model"]), "data": (SEEDS["data"],)}
"""Arguments that follow from other settings unless the user gives them. Saved configurations leave them out."""


WEIGHTS_HELP = (
    "Checkpoint, run, exported folder or imported file whose weights a new training begins with, as far as they fit by "
    "name and shape; without --model its model is taken, too."
)


class ParserError(CommandLineError):
    """A message of the parser, before `explain` has made it readable."""


class Parser(LightningArgumentParser):
    """A parser that raises its errors and does not print the usage. It omits settings that follow from others.

    Attributes:
        given: dotted names of the linked settings that the user gave, such as `data.seed`; None for parsers of parts.
        more_help: text at the end of the help.
    """

    given: frozenset[str] | None = None
    more_help: str = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An abbreviation such as `--trainer.max_epoch` is more likely a typo. Parsers of parts are of this class, too.
        self.allow_abbrev = False

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)  # an inner parser, whose failure may be one of several attempts
        raise ParserError(message)

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        return "\n".join(part for part in (super().format_help(formatter), self.more_help) if part)

    def dump(self, cfg: Namespace, *args: Any, skip_link_targets: bool = True, **kwargs: Any) -> str:
        if self.given is None or not skip_link_targets:
            return str(super().dump(cfg, *args, skip_link_targets=skip_link_targets, **kwargs))
        settings = yaml.safe_load(super().dump(cfg, *args, skip_link_targets=False, **kwargs))
        for section, names in LINKED.items():
            init_args = (settings.get(section) or {}).get("init_args", {})
            for name in names:
                if f"{section}.{name}" not in self.given:
                    *outer, last = name.split(".")
                    inner = init_args
                    for key in outer:
                        inner = inner.get(key) or {}
                    inner.pop(last, None)
        return "".join(f"# {line}\n" for line in self.dump_header or []) + yaml.safe_dump(settings, sort_keys=False)


class SaveRunConfig(SaveConfigCallback):
    """Callback that writes the settings of a run to `config.yaml` in its folder, with which `fit` repeats the run.

    It writes when training starts, so that settings that a checkpoint refuses do not replace those of its run.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Do nothing, because a checkpoint has not been loaded yet."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().setup(trainer, pl_module, "fit")

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        config = self.config.clone()
        config.ckpt_path = None  # running the saved file starts a new training
        path = Path(trainer.default_root_dir) / CONFIG
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.parser.dump(config, skip_unset=False), encoding="utf-8")
        print(model_line(trainer, pl_module, seed=config.seed_everything), file=sys.stderr)
        print(f"settings, checkpoints and logs of this run: {path.parent}", file=sys.stderr)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how a page about the run is written."""
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            folder = shlex.quote(str(trainer.default_root_dir))
            print(f"to write a page about this run: lightning-gan report {folder}", file=sys.stderr)


class TrainerCLI(IgnoresCheckpointSettings):
    """Lightning's command line. The constructor parses the settings, builds data, model and trainer, and runs.

    Args:
        invocation: the command line, read by `read_invocation`.

    Raises:
        CommandLineError: if a setting is wrong.
    """

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        silence_remarks()
        self.saved = saved_settings(invocation)
        self.callbacks = CallbackList()
        super().__init__(
            GAN,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            trainer_defaults=TRAINER_DEFAULTS,
            save_config_callback=SaveRunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=Parser,
            parser_kwargs={"prog": "lightning-gan"},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {name: skip for name, skip in LightningCLI.subcommands().items() if name != "predict"}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, help="Name of the run, which writes to runs/NAME/.")
        parser.add_argument("--weights", type=str | None, default=None, help=WEIGHTS_HELP)
        for fact in FACTS_OF_DATA:
            parser.link_arguments("data", f"model.init_args.{fact}", self._fact_from(fact), apply_on="instantiate")

    # ------------------------------------------------------------------ parsing

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        command = self.invocation.command
        subparser = subcommand_parser(self, command)
        assert isinstance(subparser, Parser)
        if command != "fit":
            subparser.set_defaults(
                {"verbose": False}
            )  # turns off Lightning's table, because the Evaluation callback prints its own
        options = self._callbacks_applied(subparser)
        try:
            # Without defaults, and without the checkpoint's hyperparameters, only settings that were given are parsed.
            settings = [option for option in options if not option.startswith("--print_config")]
            given = parser.parse_args(self._arguments(settings, saved=self.saved[:1]), defaults=False)[command]
            subparser.given = frozenset(
                f"{section}.{name}"
                for section, names in LINKED.items()
                for name in names
                if name in (given.get(f"{section}.init_args") or {})
            )
            self.config = parser.parse_args(self._arguments(options, saved=self.saved))
        except ParserError as error:
            raise CommandLineError(explain(str(error), command=command, options=option_names(subparser))) from error
        except Exception as error:
            message = told_of_building(error, place="the settings cannot be read")
            if message is None:
                raise
            raise CommandLineError(message) from error
        if self.saved and not self._gives_seed and "seed_everything" in self.saved[0]:
            # A resumed run keeps the seed of its checkpoint, so that its images do not change. The seed of a
            # configuration is only used for new runs.
            self.config[command].seed_everything = self.saved[0]["seed_everything"]
        check_settings(self._plain_settings(), command=command)
        self._tell_differences()
        parsed = callbacks_of(self._plain_settings()["trainer"]["callbacks"])
        self._tell_left_out([callback.name for callback in parsed])  # by an option such as --trainer '{callbacks: ...}'

    def _plain_settings(self) -> dict[str, Any]:
        """The parsed settings of the command as dictionaries, lists, numbers and texts."""
        return dict(self.config[self.invocation.command].clone().as_dict())

    def _callbacks_applied(self, parser: Parser) -> list[str]:
        """Read the callbacks of all configurations and the options that change them, and return all other options."""
        for settings in self.saved:
            self.callbacks.read(settings, place="the checkpoint's run")
        for config, settings in zip(self.invocation.configs, self.invocation.settings, strict=True):
            self.callbacks.read(settings, place=shown_config(config))
        data = data_in_place_of_digits([*self.saved, *self.invocation.settings], self.invocation.options)
        if data is not None:
            self.callbacks.callbacks, remarks = for_other_data(self.callbacks.callbacks, data=data)
            self.callbacks.remarks += remarks
        roots = {name.split(".")[0] for name in option_names(parser)}
        options = apply_options(self.callbacks, self.invocation.options, roots=roots)
        helps = (HELP_OF_IMAGES, HELP_OF_PROTOCOLS, HELP_OF_SCORED_IMAGES, help_of_callbacks(self.callbacks))
        parser.more_help = "\n".join(helps)
        if not asks_for_help(options):
            for remark in self.callbacks.remarks:
                tell(remark)
            self._tell_left_out(self.callbacks.names)
        return options

    def _tell_left_out(self, names: list[str]) -> None:
        """Print which callbacks of the configurations do not run, because a later list takes the place of theirs."""
        if left_out := self.callbacks.leave_out(names):
            tell(
                f"trainer.callbacks: the later list replaces {', '.join(left_out)}, which will not run "
                "(--trainer.callbacks+=NAME adds to a list)"
            )

    @property
    def _gives_seed(self) -> bool:
        """Whether the option `--seed_everything` is given."""
        return bool(take_values(self.invocation.options, "--seed_everything")[0])

    def _arguments(self, options: list[str], *, saved: list[dict[str, Any]]) -> list[str]:
        invocation = self.invocation
        configs = [*(json.dumps(settings) for settings in saved if settings), *invocation.configs]
        checkpoint = [f"--ckpt_path={invocation.checkpoint}"] if invocation.checkpoint else []
        weights = [f"--weights={invocation.weights}"] if invocation.weights else []
        arguments = [part for config in configs for part in ("--config", config)]
        callbacks = self.callbacks.arguments()
        return [
            invocation.command,
            *arguments,
            *callbacks,
            f"--name={invocation.name}",
            *options,
            *checkpoint,
            *weights,
        ]

    def _tell_differences(self) -> None:
        """Print which settings of the model and of the data differ from those of the checkpoint."""
        now = json.loads(json.dumps(self._plain_settings(), default=_plain))
        changes: list[str] = []
        for section in ("model", "data"):
            then: dict[str, Any] = next((found[section] for found in reversed(self.saved) if section in found), {})
            old, new = flat(then.get("init_args", {})), flat(now[section].get("init_args", {}))
            changes += [
                f"{section}.{key}={new[key]} (was {old[key]})" for key in old if key in new and new[key] != old[key]
            ]
        if changes:
            print(f"these given settings differ from the checkpoint's: {', '.join(changes)}", file=sys.stderr)

    # ------------------------------------------------------------------ links

    def _is_given(self, section: str, name: str) -> bool:
        """Whether the user gave a linked setting, or the checkpoint contains it."""
        from_checkpoint = any(name in flat(settings.get(section, {})) for settings in self.saved)
        is_overruled = name == SEEDS[section] and self._gives_seed
        return self._is_given_now(section, name) or (from_checkpoint and not is_overruled)

    def _is_given_now(self, section: str, name: str) -> bool:
        """Whether the user gave a linked setting in this command."""
        parser = subcommand_parser(self, self.invocation.command)
        assert isinstance(parser, Parser) and parser.given is not None
        return f"{section}.{name}" in parser.given

    def _fact_from(self, fact: str) -> Any:
        """The function of a link, which returns an attribute of the data unless the user gave the model's argument."""

        def fact_of_data(data: LightningDataModule) -> int | bool | None:
            command = self.invocation.command
            model = self.config[command].model
            return fact_of(
                data,
                fact,
                model=model.class_path,
                arguments=dict(model.get("init_args") or {}),
                is_given=self._is_given("model", fact),
                checkpoint=None if self._is_given_now("model", fact) else self.invocation.checkpoint,
                command=command,
            )

        return fact_of_data

    def before_instantiate_classes(self) -> None:
        config = self.config[self.invocation.command]
        for section, seed in SEEDS.items():
            init_args = config[section].get("init_args") or {}
            if seed in init_args and not self._is_given(section, seed):
                init_args[seed] = config.seed_everything

    # ------------------------------------------------------------------ building

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except Exception as error:
            message = told_of_building(error, place="a setting is not accepted")
            if message is None or told_in_one_line(error) is not None:
                raise
            raise CommandLineError(message) from error
        new = [name for name, _ in self.model.named_parameters()]
        if self.invocation.weights is not None:
            report = load_weights(self.model, self.invocation.weights)
            new = [*report.other_shape, *report.missing]
            for line in report.lines():
                tell(line)
        if self.invocation.command == "fit" and self.invocation.checkpoint is None:
            drawn = frozen_at_random(self.trainer.callbacks, new=new)  # type: ignore[attr-defined]
            if drawn is not None:
                tell(drawn)
        # Lightning saves every link as a hyperparameter, including those that are no arguments of the model.
        taken = self.config[self.invocation.command].model.get("init_args") or {}
        for fact in FACTS_OF_DATA:
            if fact not in taken:
                self.model.hparams.pop(fact, None)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config: dict[str, Any] = dict(self.config_init[self.invocation.command].trainer)
        run = self._run_folder(config)
        if self.invocation.command == "fit":
            check_epochs(config, self.datamodule)
            check_end(config)
            if not config["fast_dev_run"]:
                check_writable(run)
        makes_images = self.model.makes_images
        settings = trainer_settings(
            config,
            command=self.invocation.command,
            run=run,
            makes_images=makes_images,
            checkpoint=self.invocation.checkpoint,
        )
        if self.invocation.protocol is not None:
            settings["callbacks"] = with_torch_fidelity(settings["callbacks"])
        return super().instantiate_trainer(**{**settings, **kwargs})

    def _run_folder(self, trainer: dict[str, Any]) -> Path:
        """The folder that this command writes to."""
        invocation = self.invocation
        if trainer["default_root_dir"] is not None:
            return Path(trainer["default_root_dir"])
        if invocation.begins_in is not None:
            return invocation.begins_in
        continued = run_of_checkpoint(invocation.checkpoint) if invocation.checkpoint else None
        if continued is not None and not (invocation.keep_name and continued.name != invocation.name):
            return continued
        if invocation.command != "fit" or trainer["fast_dev_run"]:
            return Path("runs") / invocation.name
        run = new_run(invocation.name, keep_name=invocation.keep_name)
        if run.name != invocation.name:
            print(
                f"runs/{invocation.name} holds an earlier run; this one writes to {run} "
                f"(--name {invocation.name} --resume continues the earlier one)",
                file=sys.stderr,
            )
        return run


def saved_settings(invocation: Invocation) -> list[dict[str, Any]]:
    """Settings that belong to a checkpoint: the settings of its run, then the model's hyperparameters.

    Given configurations and options override them. The run's model, data and seed are always among them. If no
    configuration is given, its trainer and callbacks are too, so that `test --ckpt_path PATH` works alone.

    Args:
        invocation: the command line; without a checkpoint the result is empty, or has the model of the weights that the
            training begins with.

    Raises:
        CheckpointError: if the checkpoint is damaged, or is not the checkpoint of a training.
    """
    if invocation.checkpoint is None:
        return [] if invocation.weights is None else _model_of_weights(invocation, invocation.weights)
    run = run_of_checkpoint(invocation.checkpoint)
    settings = {} if run is None else read_config(run / CONFIG)
    wanted = (
        {"seed_everything", "model", "data", "weights"}
        if invocation.configs
        else {"seed_everything", "model", "data", "weights", "trainer"}
    )
    settings = {key: value for key, value in settings.items() if key in wanted}
    content = read_checkpoint(invocation.checkpoint, for_training=invocation.command == "fit")
    saved = content.get("hyper_parameters", {})
    class_path, hyperparameters = split_hyperparameters(saved)
    if class_path is None:
        return [settings]  # the model was not trained by this command line
    if "model" not in settings:  # the checkpoint is not in the folder of its run, or was imported
        settings = {**settings, "model": {"class_path": class_path}}
    return [settings, {"model": {"class_path": class_path, "init_args": hyperparameters}}]


def _model_of_weights(invocation: Invocation, path: Path) -> list[dict[str, Any]]:
    """The class and the settings of the model of weights, if the command line gives no model: all but facts of data."""
    options = take_values(invocation.options, "--model", "--model.class_path")[0]
    if options or any("model" in settings for settings in invocation.settings):
        return []
    class_path, settings = model_settings_in(path)
    if class_path is None:
        return []
    settings = {name: value for name, value in settings.items() if name not in FACTS_OF_DATA}
    if isinstance(settings.get("training"), dict):
        settings["training"] = {name: value for name, value in settings["training"].items() if name != "seed"}
    tell(f"no model is given, so that it is that of {path}: {class_path.rpartition('.')[2]}")
    return [{"model": {"class_path": class_path, "init_args": settings}}]


def _plain(value: object) -> str:
    """A setting as files of settings have it: members of an enumeration by their names."""
    return value.name if isinstance(value, Enum) else str(value)


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dictionary with dotted keys, which omit the level `init_args`.

    Args:
        settings: nested settings.
        prefix: beginning of all keys.

    Example:
        >>> flat({"optimizer": {"class_path": "Adam", "init_args": {"lr": 0.1}}})
        {'optimizer.class_path': 'Adam', 'optimizer.lr': 0.1}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, prefix if key == "init_args" else f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
