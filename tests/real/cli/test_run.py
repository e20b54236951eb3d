"""What ends in one line, and with which names: errors that a user can put right, and nothing else."""

import pytest

from kds_ref import KernelDensitySteering
from real.cli.run import option_of, run_command, text_of_error
from real.errors import UserError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("no photo can be used"), "no photo can be used"),
        (UserError("must be at least 1, got 0", argument="patch_size"), "--patch-size must be at least 1, got 0"),
        (UserError("there is no\n file 'x'", argument="image"), "IMAGE: there is no file 'x'"),
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
    assert str(UserError("there is no file 'x'", argument="mask")) == "mask: there is no file 'x'"
    assert option_of("rank_timeout") == "--rank-timeout"


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
