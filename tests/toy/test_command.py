"""The command line: files, numbers, help; one clear line and exit status 2 for whatever a user gets wrong."""

import io
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import toy.experiment
from toy.__main__ import build_parser, main
from toy.experiment import run_experiment
from toy.files import write_files
from toy.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--seeds", "3", "--particles", "6", "--steps", "4"]
FILES = ["toy_fig2.json", "toy_fig2_kds_cutoff_0.3.png", "toy_fig2_kds_cutoff_0.png"]


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)


def test_files_hold_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "folder"
    assert main([*SMALL, "--seed", "11", "--bandwidth", "0.5", "--output", str(folder)]) == 0
    assert sorted(os.listdir(folder)) == FILES
    results = json.loads((folder / "toy_fig2.json").read_text())
    settings = Settings(seed=11, n_seeds=3, n_particles=6, num_inference_steps=4, bandwidth=0.5)
    expected, _ = run_experiment(settings)
    versions = results.pop("versions")
    assert results.pop("figures") == {"kds_cutoff_0.3": FILES[1], "kds_cutoff_0": FILES[2]}
    assert results == expected
    assert versions["numpy"] == version("numpy")
    assert set(versions) == {"python", "kds-ref", "numpy", "scipy", "matplotlib"}
    for name in FILES[1:]:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    out, err = capsys.readouterr()
    assert f"wrote {folder / FILES[0]}" in out
    variance = expected["methods"]["kds_cutoff_0"]["within_mode_variance"]
    assert f"{variance['mean']:.4f} ({variance['standard_error']:.4f})" in out
    assert max(map(len, out.splitlines()[:10])) <= 120
    assert out.isascii()
    assert "100%" in err  # progress goes to stderr


def test_same_seed_same_bytes_and_quiet_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / name for name in ("one", "two", "other")]
    for folder, seed in zip(folders, "778", strict=True):
        assert main([*SMALL, "--cutoff", "0", "--seed", seed, "--quiet", "--output", str(folder)]) == 0
    assert capsys.readouterr() == ("", "")
    for name in FILES[::2]:
        one, two, other = ((folder / name).read_bytes() for folder in folders)
        assert one == two
        assert one != other


def test_options_reach_the_settings_and_their_defaults_agree(tmp_path: Path) -> None:
    options = "--seed 2 --seeds 2 --particles 4 --bandwidth .4 --strength .5 --cutoff 0 --steps 3 --schedule linear"
    assert main([*options.split(), "--quiet", "--output", str(tmp_path)]) == 0
    assert sorted(os.listdir(tmp_path)) == [FILES[0], FILES[2]]  # one slide: the cut-off is already 0
    settings = json.loads((tmp_path / "toy_fig2.json").read_text())["settings"]
    expected = Settings(seed=2, n_seeds=2, n_particles=4, bandwidth=0.4, strength=0.5, cutoff=0.0,
                        num_inference_steps=3, schedule="linear")  # fmt: skip
    assert settings.items() >= vars(expected).items()
    parsed = vars(build_parser().parse_args([]))
    names = ("seed", "seeds", "particles", "bandwidth", "strength", "cutoff", "steps", "schedule")
    assert [parsed[name] for name in names] == list(vars(Settings()).values())


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("--particles 0", "--particles must lie between 1 and 2000, got 0"),
        ("--particles -3", "--particles must lie between"),
        ("--particles 1e3", "--particles: invalid int value: '1e3'"),
        ("--particles 99999", "--particles must lie between"),
        ("--seeds 0", "--seeds must lie between"),
        ("--seeds 5000 --particles 2000", "--seeds times --particles must be at most"),
        ("--seed -1", "--seed must lie between"),
        ("--seed", "--seed: expected one argument"),
        ("--bandwidth 0", "--bandwidth must lie between"),
        ("--bandwidth nan", "--bandwidth must lie between"),
        ("--bandwidth 1e-320", "--bandwidth must lie between"),
        ("--bandwidth wide", "--bandwidth: invalid float value: 'wide'"),
        ("--strength 1.5", "--strength must lie between"),
        ("--cutoff inf", "--cutoff must lie between"),
        ("--steps 0", "--steps must lie between"),
        ("--steps 1001", "--steps must lie between"),
        ("--schedule quadratic", "--schedule must be one of cosine, linear, scaled_linear, got 'quadratic'"),
        ("--unknown", "unrecognized arguments: --unknown"),
        ("--part=5", "unrecognized arguments: --part"),
        ("--output=", "--output must be the name of a folder, got ''"),
        ("posterior --photos=", "--photos must be the name of a folder, got"),
        ("prior --photos=", "--photos must be the name of a folder, got"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: str,
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kds-toy: error: ")
    assert part in err
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert os.listdir(tmp_path) == []


def test_an_unusable_output_folder_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("toy.experiment.run_experiment", lambda *_, **__: pytest.fail("the work was begun"))
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below", "a\0b", "x" * 5000):
        assert main(["--output", str(output)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "--output" in err
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILES[0]).mkdir()  # a folder where the JSON should go
    assert main([*SMALL, "--quiet", "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert os.listdir(tmp_path) == [FILES[0]]

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(toy.experiment, "run_experiment", interrupt)
    assert main([*SMALL, "--quiet", "--output", str(tmp_path)]) == 130
    assert os.listdir(tmp_path) == [FILES[0]]


def test_a_full_disk_leaves_the_old_files_and_no_temporary_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a": b"old a", "b": b"old b"})
    calls: list[int] = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("toy.files.os.fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        write_files(tmp_path, {"a": b"new a", "b": b"new b"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old a", "b": b"old b"}


def test_help_and_module_run_without_the_extra() -> None:
    code = "import sys; sys.modules.update(scipy=None, matplotlib=None, tqdm=None)\n"
    code += "from toy.__main__ import main\n"
    shown = python("-c", code + "sys.exit(main(['--help']))")
    assert shown.returncode == 0, shown.stderr
    for word in ("examples:", "--bandwidth", "Eq. 10", "toy_fig2.json", "(0.3)", "exit status"):
        assert word in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 110
    missing = python("-c", code + "sys.exit(main(['--output', '.']))")
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1
    assert "pip install 'kds-ref[toy]'" in missing.stderr


@pytest.mark.parametrize("end", ["| true", "> /dev/full"])
def test_python_m_toy_and_a_reader_that_leaves(end: str, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -W error -m toy --steps 1 --seeds 1 --output "{tmp_path}" {end}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == FILES
    assert np.isfinite(json.loads((tmp_path / FILES[0]).read_text())["target"]["mean_log_likelihood"])


def test_a_folder_whose_name_the_terminal_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main([*SMALL, "--output", str(tmp_path / "ü写")]) == 0
    assert b"\xfc\\u5199/toy_fig2.json" in terminal.buffer.getvalue()  # type: ignore[attr-defined]
