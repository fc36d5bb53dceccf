"""Settings of callbacks on the command line, and configurations that bring callbacks which are there already."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_gan.cli.configured_callbacks import CallbackList, callbacks_of
from tests.cli.command_line import TINY, message_of, read, run, write


def printed(arguments: str, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, dict[str, Any]]]:
    """The callbacks that `--print_config` prints: names of classes and settings."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        run(f"{arguments} --print_config")
    assert exit_.value.code in (0, None)
    callbacks = yaml.safe_load(capsys.readouterr().out)["trainer"]["callbacks"]
    return [(one["class_path"].rsplit(".", 1)[-1], one.get("init_args", {})) for one in callbacks]


def write_callbacks(name: str, *callbacks: Any, key: str = "callbacks+") -> None:
    write(name, {"trainer": {key: list(callbacks)}})


R1_AND_R2 = [{"class_path": "R1", "init_args": {"gamma": 1.0}}, {"class_path": "R2", "init_args": {"gamma": 2.0}}]


@pytest.mark.parametrize(
    "options", ["--R1.gamma 3", "--R1.gamma=3", "--trainer.callbacks.R1.gamma 3", "--trainer.callbacks.R1.1.gamma=3"]
)
@pytest.mark.parametrize("command", ["fit", "validate", "test"])
def test_a_setting_of_a_callback_is_changed_by_the_name_of_its_class(
    options: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("pair.yaml", {**TINY, "trainer": {**TINY["trainer"], "callbacks": R1_AND_R2}})
    first, second = printed(f"{command} --config pair.yaml {options}", capsys)
    assert (first[0], first[1]["gamma"]) == ("R1", 3.0)
    assert (second[0], second[1]["gamma"]) == ("R2", 2.0)


def test_everything_else_of_the_callback_stays_and_later_options_win(capsys: pytest.CaptureFixture[str]) -> None:
    write_callbacks("more.yaml", {"class_path": "R2", "init_args": {"gamma": 7.0, "every_n_turns": 5}})
    _, (_, settings) = printed("fit --config tiny.yaml --config more.yaml --R2.gamma=1 --R2.gamma=-2.5", capsys)
    assert settings["gamma"] == -2.5 and settings["every_n_turns"] == 5


def test_nested_settings_and_lists_are_set_as_those_of_the_model_are(capsys: pytest.CaptureFixture[str]) -> None:
    write_callbacks("more.yaml", {"class_path": "LearningRate", "init_args": {"schedules": []}})
    nested = "--R1.weight_schedule CosineDecay --R1.weight_schedule.end_kimg 9"
    listed = "--LearningRate.schedules+=LinearDecay --LearningRate.schedules.end_kimg=7"
    callbacks = dict(printed(f"fit --config tiny.yaml --config more.yaml {nested} {listed}", capsys))
    assert callbacks["R1"]["weight_schedule"]["init_args"]["end_kimg"] == 9.0
    (schedule,) = callbacks["LearningRate"]["schedules"]
    assert (schedule["class_path"].split(".")[-1], schedule["init_args"]["end_kimg"]) == ("LinearDecay", 7.0)


def test_what_is_set_within_a_list_is_set_in_its_last_entry_and_the_rest_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    decays = [
        {"class_path": "LinearDecay", "init_args": {"start_kimg": 1.0, "end_kimg": 2.0}},
        {"class_path": "lightning_gan.schedules.LinearDecay", "init_args": {"start_kimg": 3.0, "end_kimg": 4.0}},
    ]
    write_callbacks(
        "more.yaml", {"class_path": "LearningRate", "init_args": {"network": "generator", "schedules": decays}}
    )

    def schedules_after(options: str) -> list[tuple[str, float, float]]:
        command = f"fit --config tiny.yaml --config more.yaml {options}"
        settings = dict(printed(command, capsys))["LearningRate"]
        assert settings["network"] == "generator"
        found = [(one["class_path"].rsplit(".", 1)[-1], one["init_args"]) for one in settings["schedules"]]
        return [(name, arguments["start_kimg"], arguments["end_kimg"]) for name, arguments in found]

    first = ("LinearDecay", 1.0, 2.0)
    assert schedules_after("--LearningRate.schedules.end_kimg=9 --LearningRate.schedules.start_kimg 8") == [
        first,
        ("LinearDecay", 8.0, 9.0),
    ]
    added = "--LearningRate.schedules+=CosineDecay --LearningRate.schedules.end_kimg=9"
    assert schedules_after(added) == [first, ("LinearDecay", 3.0, 4.0), ("CosineDecay", 0.0, 9.0)]
    anew = "--LearningRate.schedules=[] --LearningRate.schedules+=CosineDecay --LearningRate.schedules.end_kimg=7"
    assert schedules_after(anew) == [("CosineDecay", 0.0, 7.0)]
    settings = dict(printed(f"fit --config tiny.yaml --trainer.callbacks+=LearningRate {anew}", capsys))["LearningRate"]
    assert [one["init_args"]["end_kimg"] for one in settings["schedules"]] == [7.0]


def test_an_option_may_change_what_another_option_adds_before_or_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (
        "--EMA.half_life_kimg=3 --trainer.callbacks+=EMA",
        "--trainer.callbacks+ EMA --EMA.half_life_kimg 3",
    ):
        callbacks = dict(printed(f"fit --config tiny.yaml {options}", capsys))
        assert callbacks["EMA"]["half_life_kimg"] == 3.0 and callbacks["R1"]["gamma"] == 1.0


def test_of_several_callbacks_of_a_class_the_number_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    write_callbacks("two.yaml", "R2", {"class_path": "R2", "init_args": {"gamma": 3.0}})
    two = "fit --config tiny.yaml --config two.yaml"
    assert [settings["gamma"] for _, settings in printed(f"{two} --R2.2.gamma=5", capsys)] == [1.0, 10.0, 5.0]
    message = message_of(f"{two} --R2.gamma=5", capsys)
    assert message == (
        "R2 is in this configuration 2 times; give --R2.1.gamma=5 for R2 or --R2.2.gamma=5 for R2(gamma=3.0)"
    )
    assert "give a number from 1 to 2" in message_of(f"{two} --R2.3.gamma=5", capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--R2.gamma 1",
            "R2 is not in this configuration; --trainer.callbacks+=R2 adds it, and --R2.gamma=1 then sets",
        ),
        (
            "--R11.gamma 1",
            "--R11.gamma: there is no callback R11 in this configuration, which has R1; did you mean R1?",
        ),
        ("--r1.gamma 1", "did you mean R1?"),
        ("--Model.latent_dim 4", "did you mean model?"),
        ("--R1.gama 1", "R1 has no option gama; did you mean gamma?"),
        ("--R1.gamma x", "x is no float"),
        ("--R1.gamma", "--R1.gamma needs a value"),
        ("--R1.gamma --name a", "--R1.gamma needs a value"),
        ("--R1.2.gamma=1", "--R1.2.gamma: R1 is in this configuration once; give --R1.gamma=1"),
        ("--trainer.callbacks.gamma=1", "does not say which callback is meant; give --R1.gamma"),
        ("--trainer.callbacks.gamme=1", "no callback of this configuration has the setting gamme"),
        ("--trainer.callbacks=[] --R1.gamma=1", "R1 is not in this configuration"),
        ("--foo.bar=1", "foo.bar is no option of fit"),
    ],
)
def test_a_setting_that_cannot_be_placed_is_refused(
    options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in message_of(f"fit --config tiny.yaml {options}", capsys)


def test_a_saved_run_and_its_continuation_take_settings_of_callbacks(capsys: pytest.CaptureFixture[str]) -> None:
    run("fit --config tiny.yaml --R1.gamma 3")
    assert read("runs/tiny/config.yaml")["trainer"]["callbacks"][0]["init_args"]["gamma"] == 3.0
    with warnings.catch_warnings():
        # Of another gamma it is the same penalty, which goes on with its state.
        warnings.filterwarnings("error", "Be aware that when using")
        run("fit --name tiny --resume --R1.gamma 4 --trainer.max_steps 3")
    assert read("runs/tiny/config.yaml")["trainer"]["callbacks"][0]["init_args"]["gamma"] == 4.0
    assert printed("fit --config runs/tiny/config.yaml --name again --R1.gamma 5", capsys)[0][1]["gamma"] == 5.0


def test_an_added_callback_takes_the_place_of_one_of_its_class_and_this_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_callbacks("more.yaml", {"class_path": "lightning_gan.callbacks.R1", "init_args": {"every_n_turns": 2}}, "EMA")
    run("fit --config tiny.yaml --config more.yaml")
    callbacks = read("runs/tiny/config.yaml")["trainer"]["callbacks"]
    assert [one["class_path"].split(".")[-1] for one in callbacks] == ["R1", "EMA"]
    # The settings of the one before are not mixed with its own.
    assert (callbacks[0]["init_args"]["gamma"], callbacks[0]["init_args"]["every_n_turns"]) == (10.0, 2)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trainer.callbacks: ")]
    assert lines == [
        "trainer.callbacks: R1(every_n_turns=2) of more.yaml takes the place of R1(gamma=1.0) (a list that gives both "
        "keeps both)"
    ]


def test_the_same_class_for_another_network_is_another_callback(capsys: pytest.CaptureFixture[str]) -> None:
    norms = "--trainer.callbacks+=SpectralNorm --trainer.callbacks.network=generator"
    callbacks = printed(f"fit --config tiny.yaml --config addons/spectral_norm.yaml {norms}", capsys)
    assert [settings.get("network") for _, settings in callbacks] == [None, "discriminator", "generator"]


@pytest.mark.parametrize("options", ["--trainer.callbacks+=[R1,R1]", "--trainer.callbacks+=R1 --trainer.callbacks+=R1"])
def test_two_on_purpose_are_given_together(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [name for name, _ in printed(f"fit --config tiny.yaml {options}", capsys)] == ["R1", "R1"]


def test_a_list_that_replaces_another_does_not_keep_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    write_callbacks(
        "first.yaml", {"class_path": "R1", "init_args": {"gamma": 2.0, "every_n_turns": 9}}, key="callbacks"
    )
    write_callbacks("second.yaml", {"class_path": "R1", "init_args": {"gamma": 3.0}}, key="callbacks")
    (callback,) = printed("fit --config tiny.yaml --config first.yaml --config second.yaml", capsys)
    assert (callback[1]["gamma"], callback[1]["every_n_turns"]) == (3.0, 1)


@pytest.mark.parametrize(
    "options", ["--trainer.callbacks=R2", '--trainer={"callbacks":["R2"]}', "--config second.yaml"]
)
def test_what_a_later_list_leaves_out_is_said_once(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_callbacks("second.yaml", "R2", key="callbacks")
    run(f"fit --config tiny.yaml {options}")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trainer.callbacks: ")]
    assert len(lines) == 1 and lines[0].startswith("trainer.callbacks: the later list replaces R1, which will not run")


def test_the_help_explains_settings_of_callbacks_and_lists_the_configured_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run("fit --config tiny.yaml --R1.gamma=3 --help")
    shown = capsys.readouterr().out
    assert shown.count("--CLASS.SETTING VALUE") == 1
    assert "  --R1. gamma=3, every_n_turns" in shown
    with pytest.raises(SystemExit):
        run("fit --config tiny.yaml --R1.help")
    assert "strength of the penalty" in capsys.readouterr().out


def test_values_that_are_no_callbacks_are_left_to_the_parser() -> None:
    found = CallbackList()
    for value in (3, [[]], {"init_args": 3}, {"class_path": 5}, "no.such.Class", None):
        found.read({"trainer": {"callbacks": value, "callbacks+": value}}, place="a.yaml")
        assert len(found.callbacks) == 2 * (value is not None) or value == "no.such.Class"
    assert [callback.given for callback in callbacks_of("EMA")] == ["EMA"]


def test_exponents_without_a_point_keep_their_value(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.yaml").write_text("trainer: {callbacks+: [{class_path: R2, init_args: {gamma: 1e-3}}]}\n")
    assert printed("fit --config tiny.yaml --config more.yaml", capsys)[1][1]["gamma"] == 0.001
