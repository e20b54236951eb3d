"""Options that are empty, out of range or of no use are refused by name, before anything is computed or written."""

import argparse
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
import kds_ref  # noqa: E402
from real import Settings, open_model  # noqa: E402
from real.__main__ import main  # noqa: E402
from real.backbones.__main__ import main as backbones  # noqa: E402
from real.cli import options as cli_options  # noqa: E402
from real.cli.run import run_command  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.models.devices import pick_device  # noqa: E402
from real.priors.__main__ import main as priors  # noqa: E402
from real.train.__main__ import main as train  # noqa: E402


def status(command: Any, *arguments: object) -> int:
    try:
        return int(command([str(a) for a in arguments]))
    except SystemExit as leaving:
        return int(leaving.code or 0)


@pytest.fixture
def photo_file(tmp_path: Path, photo: np.ndarray) -> Path:
    Image.fromarray(photo).save(tmp_path / "s.png")
    return tmp_path / "s.png"


EMPTY = [
    *((main, ["sr", "s.png", "--output", "o", option, ""]) for option in ("--output", "--model", "--revision")),
    *((main, ["sr", "s.png", "--output", "o", option, " "]) for option in ("--base", "--cleaned", "--device")),
    (main, ["sr", "", "--output", "o"]),
    (main, ["inpaint", "s.png", "--mask", "", "--output", "o"]),
    (main, ["evaluate", "--photos", "", "--output", "o"]),
    (main, ["gpu-check", "--output", ""]),
    *((main, ["bench", "table1", option, ""]) for option in ("--output", "--photos", "--pairs")),
    (backbones, ["--output", ""]),
    *((priors, [option, ""]) for option in ("--photos", "--output")),
    *((train, ["regression", "--photos", "p", "--output", "o", option, ""]) for option in ("--photos", "--output")),
    (train, ["unet", "--photos", "p", "--output", "o", "--autoencoder", "a", "--start-from", ""]),
]


@pytest.mark.parametrize(("command", "arguments"), EMPTY)
def test_empty_texts_are_refused(
    command: Any, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(command, *arguments) == 2
    assert "must not be empty" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_an_empty_model_is_not_the_bundled_one() -> None:
    with pytest.raises(ValueError, match="must be a folder, an id or a name"):
        open_model("")


IGNORED = [
    (["sr", "{photo}", "--degradation", "stable-sr"], "--degradation must be left out except with --degrade"),
    (["sr", "--degradation", "simple"], "--degradation must be left out except with --degrade"),
    (["sr", "{photo}", "--revision", "main"], "--revision must be left out except with an id on the hub"),
    (["inpaint", "{photo}", "--center-box", "0.3", "--revision", "main"], "--revision must be left out"),
    (["sr", "{photo}", "--cutoff", "0.5", "--cutoff-nsr", "1"], "--cutoff-nsr: not allowed with argument --cutoff"),
    (["sr", "{photo}", "--rank-timeout", "9"], "--rank-timeout must be left out except with several"),
    (["sr", "{photo}", "--spacing", "trailing", "--sampler", "dpmpp-2s"], "spacing must be None with dpmpp-2s"),
    (["sr", "{photo}", "--spacing", "trailing", "--model", "{upscaler}"], "spacing must be None for models of this"),
    (["evaluate", "--photos", "{folder}", "--autoencoder-only", "--quality"], "--quality must be left out with"),
    (["evaluate", "--photos", "{folder}", "--autoencoder-only", "--cutoffs", "0"], "--cutoffs must be left out with"),
    (["evaluate", "--photos", "{folder}", "--bandwidth", "1", "--bandwidths", "2"], "with --bandwidths, which takes"),
]
WRONG = [
    (["sr", "{photo}", "--bandwidth", "nan"], "must be a positive number or the name of a rule, got nan"),
    (["sr", "{photo}", "--bandwidth", "inf"], "must be a positive number"),
    (["sr", "{photo}", "--bandwidth", "-1"], "must be a positive number"),
    (["evaluate", "--photos", "{folder}", "--bandwidths", "0"], "must be a positive number"),
    (["bench", "fig6", "--photos", "{folder}", "--bandwidth", "0.1", "nan"], "must be a positive number"),
    (["sr", "{photo}", "--threads", "100000"], "--threads: must be at most"),
    (["sr", "{photo}", "--device", "meta"], "--device must be a device that works here, got 'meta'"),
    (["evaluate", "--photos", "{folder}", "--cutoff-nsr", "1", "--cutoffs", "0"], "--cutoff-nsr"),
    (["evaluate", "--photos", "{folder}", "--crop", "63"], "--crop must be a multiple of 4 and at least 32, got 63"),
    (["evaluate", "--photos", "{folder}", "--cutoffs", "0.3", "0.3"], "--cutoffs must be different values"),
    (["evaluate", "--photos", "{folder}", "--cutoffs", "0.3", "3"], "cutoff"),
]


@pytest.mark.parametrize(("arguments", "named"), IGNORED + WRONG)
def test_options_are_refused_by_name(
    arguments: list[str], named: str, tmp_path: Path, photo_file: Path, upscaler_folder: Path, capsys: Any
) -> None:
    places = {"photo": photo_file, "folder": tmp_path, "upscaler": upscaler_folder}
    filled = [word.format(**places) for word in arguments]
    assert status(main, *filled, "--output", tmp_path / "out", "--steps", 1, "--particles", 1) == 2
    error = capsys.readouterr().err
    assert named in error.strip().splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "rows.jsonl").exists()


@pytest.mark.parametrize("minutes", ["nan", "-1"])
def test_a_gpu_check_without_an_end_is_refused(minutes: str, tmp_path: Path, capsys: Any) -> None:
    assert status(main, "gpu-check", "--minutes", minutes, "--output", tmp_path / "out") == 2
    assert f"--minutes must be at least 0, got {minutes}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_largest_number_of_threads_is_taken() -> None:
    assert cli_options.threads("256") == 256
    for text in ("0", "two"):
        with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
            cli_options.threads(text)


def test_training_refuses_devices_as_restoration_does(tmp_path: Path, photo_file: Path, capsys: Any) -> None:
    for name in ("abacus", "meta"):
        given = ["--photos", photo_file.parent, "--output", tmp_path / "out", "--device", name]
        assert status(train, "regression", *given) == 2
        assert f"--device must be a device that works here, got {name!r}" in capsys.readouterr().err
    with pytest.raises(UserError, match="meta"):
        pick_device("meta")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", "truncated"])
@pytest.mark.parametrize("name", ["checkpoint.pt", "latents.pt"])
def test_a_damaged_file_of_a_run_is_one_line(
    name: str, content: bytes | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from real.train.saved import load_saved

    torch.save({"x": torch.zeros(100)}, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    assert run_command(lambda: load_saved(tmp_path / name), prog="real.train") == 2
    error = capsys.readouterr().err
    assert f"--output must hold whole files, got a damaged {str(tmp_path / name)!r}" in error
    assert len(error.strip().splitlines()) == 1


def test_a_truncated_checkpoint_ends_the_command_in_one_line(tmp_path: Path, capsys: Any) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    out.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(photos / "a.png")
    (out / "checkpoint.pt").write_bytes(b"PK\x03\x04 cut off")
    given = ["--photos", photos, "--output", out, "--steps", 1, "--batch", 1, "--device", "cpu"]
    assert status(train, "regression", *given) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"--output must hold whole files, got a damaged {str(out / 'checkpoint.pt')!r}" in error


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 99 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_memory_that_does_not_suffice_is_one_line(error: Exception, is_memory: bool, capsys: Any) -> None:
    def command() -> int:
        raise error

    if not is_memory:
        with pytest.raises(RuntimeError, match="shapes"):
            run_command(command, prog="kds-restore")
        return
    assert run_command(command, prog="kds-restore") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "memory does not suffice" in line
    assert "--max-batch" in line


def test_a_real_refusal_of_the_cpus_memory_is_one_line(capsys: Any) -> None:
    assert run_command(lambda: int(torch.empty(1 << 60).sum()), prog="kds-restore") == 2
    assert "memory does not suffice" in capsys.readouterr().err
    assert run_command(lambda: int(np.empty(1 << 55).sum()), prog="kds-restore") == 2
    assert "memory does not suffice" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "sr"])
def test_every_command_says_it_in_one_line(
    command: str, tmp_path: Path, photo_file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("real.restorers.latent.sample", full)
    photos = ["--photos", photo_file.parent] if command == "evaluate" else [photo_file]
    out = ["--output", tmp_path / "out", "--model", tiny_folder, "--steps", 1, "--particles", 1]
    assert status(main, command, *photos, *out) == 2
    assert "memory does not suffice" in capsys.readouterr().err.strip().splitlines()[-1]


def test_weights_that_do_not_fit_into_memory_are_not_damaged(tiny_folder: Path, monkeypatch: Any) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("real.models.latent.VQModel.from_pretrained", full)
    with pytest.raises(RuntimeError, match="allocate memory"):
        open_model(tiny_folder)


@pytest.mark.parametrize("value", ["NaN", "-1", "0", "Infinity", "true", '"0.3"', "null"])
def test_a_model_names_a_positive_bandwidth(value: str, tiny_folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "kds.json").write_text(f'{{"bandwidth": {value}}}', encoding="utf-8")
    with pytest.raises(UserError, match=r"model must have a positive number as the bandwidth in kds\.json, got"):
        open_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("particles", "steps", "patch_size", "seed") for value in (2.5, True, "2", None)),
        *((name, value) for name in ("strength", "cutoff", "guidance") for value in ("1", True, None)),
        ("bandwidth", True),
        ("bandwidth", [0.3]),
    ],
)
def test_settings_of_another_type_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a"):
        Settings(**{name: value})


def test_settings_take_numpys_numbers_and_hold_pythons() -> None:
    import json
    from dataclasses import asdict

    given: dict[str, Any] = {"particles": np.int64(3), "seed": np.uint8(4), "strength": np.float32(0.5)}
    settings = Settings(**given, guidance=2, bandwidth=np.float64(0.7))
    assert json.loads(json.dumps(asdict(settings)))["strength"] == 0.5
    assert (settings.particles, settings.seed, settings.bandwidth) == (3, 4, 0.7)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(main, "--version") == 0
    assert capsys.readouterr().out.strip() == f"kds-restore {kds_ref.__version__}"


@pytest.mark.parametrize(("door", "words"), [("train", "--channels"), ("backbones", "--max-batch")])
def test_the_other_command_lines_are_doors_of_this_one(door: str, words: str, capsys: Any) -> None:
    inner = ["autoencoder"] if door == "train" else []
    assert status(main, door, *inner, "--help") == 0
    text = capsys.readouterr().out
    assert words in text
    assert status(train if door == "train" else backbones, *inner, "--help") == 0
    assert capsys.readouterr().out == text
    assert status(main, "--help") == 0
    assert f"pythonmreal.{door})" in "".join(capsys.readouterr().out.split()).replace("-", "")


def test_a_door_is_closed_to_several_processes(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert status(main, "train", "autoencoder") == 2
    assert "start it without torchrun" in capsys.readouterr().err


def test_help_says_that_rounding_depends_on_batches_and_threads(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("sr", "inpaint", "evaluate", "bench"):
        assert status(main, command, "--help") == 0
        text = " ".join(capsys.readouterr().out.split())
        assert text.count("rounding (a grey level in places)") == 2


def test_a_patch_larger_than_the_latents_is_all_of_them(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    Image.open(photo_file).crop((0, 0, 40, 32)).save(tmp_path / "small.png")
    for size in (40, 1000000):
        given = ["--patch-size", size, "--steps", 2, "--particles", 2, "--model", tiny_folder, "--dtype", "float32"]
        assert status(main, "sr", tmp_path / "small.png", *given, "--output", tmp_path / str(size)) == 0
    assert (tmp_path / "40" / "restored.png").read_bytes() == (tmp_path / "1000000" / "restored.png").read_bytes()


PRINTS = """
import sys
from real.cli.run import run_command, say
def command():
    say({text!r})
    print("done", file=sys.stderr)
    return 0
sys.exit(run_command(command, prog="x"))
"""


@pytest.mark.parametrize("redirect", ["", " | true", " > /dev/full"])
def test_printing_never_fails_a_finished_run(redirect: str, tmp_path: Path) -> None:
    (tmp_path / "prints.py").write_text(PRINTS.format(text="写真 ü written " * 9999), encoding="utf-8")
    command = f"set -o pipefail; sleep 0.2 | {sys.executable} {tmp_path / 'prints.py'}{redirect}"
    environment = {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == b"done"
    if not redirect:
        assert done.stdout.startswith(b"\\u5199\\u771f \xfc written")


def test_a_photo_whose_name_the_terminal_cannot_write(
    tmp_path: Path, photo_file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_file.rename(tmp_path / "写真.png")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    words = ["--output", tmp_path / "ü写", "--model", tiny_folder, "--steps", 1, "--particles", 1]
    assert status(main, "sr", tmp_path / "写真.png", *words) == 0
    assert b"\xfc\\u5199/restored.png" in terminal.buffer.getvalue()  # type: ignore[attr-defined]
