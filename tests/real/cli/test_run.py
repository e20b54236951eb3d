"""What ends in one line, and with which names: errors that a user can put right, and nothing else."""

import importlib

import pytest

from kds_ref import KernelDensitySteering
from real.cli.run import option_of, run_command, text_of_error
from real.errors import UserError, blaming


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("no photo can be used"), "no photo can be used"),
        (UserError("must be at least 1, got 0", argument="patch_size"), "--patch-size must be at least 1, got 0"),
        (UserError("gone is the\n file 'x'", argument="image"), "IMAGE: gone is the file 'x'"),
        (UserError("`tile` or `dtype=float16`, or `vae_tiling=True`"), "--tile or --dtype float16, or --vae-tiling"),
        (UserError("run `hf download a/b`"), "run `hf download a/b`"),  # a command is no argument
    ],
)
def test_options_stand_for_arguments(error: UserError, text: str) -> None:
    assert text_of_error(error) == text


def test_the_error_itself_names_the_argument() -> None:
    error = UserError("must be at least 1, got 0", argument="patch_size")
    assert str(error) == "patch_size must be at least 1, got 0"
    assert (error.message, error.argument) == ("must be at least 1, got 0", "patch_size")
    assert str(UserError("gone is the file 'x'", argument="mask")) == "mask: gone is the file 'x'"
    assert option_of("rank_timeout") == "--rank-timeout"


def test_an_error_is_of_the_argument_that_the_caller_knows() -> None:
    with pytest.raises(UserError, match=r"^center_box must be small, got 2$"), blaming("center_box"):
        raise UserError("must be small, got 2", argument="fraction")


@pytest.mark.parametrize("seed", ["-1", "1.5", str(2**63), "one"])
@pytest.mark.parametrize("command", ["train", "alternatives"])
def test_seeds_that_no_generator_takes(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = importlib.import_module("real.train.parsers" if command == "train" else "real.alternatives.__main__")
    options = (["regression"] if command == "train" else []) + ["--photos", "x", "--output", "y", "--seed"]
    with pytest.raises(SystemExit):
        parser.build_parser().parse_args([*options, seed])
    assert f"--seed: must be a whole number from 0 to 2^63 - 1, got '{seed}'" in capsys.readouterr().err
    assert parser.build_parser().parse_args([*options, str(2**63 - 1)]).seed == 2**63 - 1


def of_the_core() -> int:
    KernelDensitySteering(strength=2.0)
    return 0


def of_a_bug() -> int:
    raise ValueError("strength must be something else, got a bug")


def test_the_core_is_believed_about_options_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(of_the_core, prog="p", options={"strength": 2.0}) == 2
    assert capsys.readouterr().err.startswith("p: error: --strength ")
    for command, options in ((of_the_core, {"steps"}), (of_a_bug, {"strength"}), (lambda: len(3), {"strength"})):
        with pytest.raises((ValueError, TypeError)):  # with its traceback
            run_command(command, prog="p", options=options)
    assert capsys.readouterr().err == ""
