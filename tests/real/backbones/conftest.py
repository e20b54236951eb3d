"""The tiny networks whose outputs by the official code are in `golden/`; its README says where they come from."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Any]]:
    def load(name: str) -> dict[str, Any]:
        return {key: torch.from_numpy(value) for key, value in np.load(GOLDEN / f"{name}.npz").items()}

    return load


@pytest.fixture(scope="session")
def shapes() -> dict[str, dict[str, list[int]]]:
    """Names and shapes of official weights, by network."""
    read = [json.loads(gzip.decompress((GOLDEN / f"{n}_shapes.json.gz").read_bytes())) for n in ("tiny", "full_size")]
    return {**read[0], **read[1]}


@pytest.fixture(scope="session")
def official(shapes: Any) -> Callable[[str, str], dict[str, Any]]:
    """The seeded weights of a tiny network by official name."""

    def value(prefix: str, name: str, shape: list[int]) -> Any:
        noise = np.random.RandomState(zlib.crc32(f"{prefix}/{name}".encode())).standard_normal(shape)
        if name.endswith(".bias"):
            noise = 0.1 * noise
        elif len(shape) < 2:
            noise = 1.0 + 0.2 * noise
        else:
            noise = noise / np.sqrt(np.prod(shape[1:]))
        return torch.from_numpy(noise.astype(np.float32))

    def make(model: str, network: str) -> dict[str, Any]:
        entries = shapes[f"{model}_tiny_a_{network}"]
        return {name: value(f"{model}_a/{network}", name, shape) for name, shape in entries.items()}

    return make


@pytest.fixture(scope="session")
def diffbir_config() -> dict[str, Any]:
    from real.backbones.diffbir import network_config

    return network_config(channels=32, multipliers=(1, 2), layers=1, attention=(1,), head_channels=16, text_width=16)


@pytest.fixture(scope="session")
def seesr_configs() -> dict[str, Any]:
    return json.loads((GOLDEN / "seesr_configs.json").read_text())


@pytest.fixture(scope="session")
def diffbir_files(tmp_path_factory: pytest.TempPathFactory, official: Any) -> tuple[Path, Path]:
    """UNet inside a Stable Diffusion checkpoint with other parts, and the bare control net: both as pickles."""
    folder = tmp_path_factory.mktemp("diffbir")
    inside = {f"model.diffusion_model.{name}": value for name, value in official("diffbir", "unet").items()}
    others = {"first_stage_model.encoder.conv_in.bias": torch.zeros(3), "betas": torch.zeros(1000), "decay": 0.99}
    torch.save({"state_dict": {**inside, **others}, "global_step": 3}, folder / "sd.ckpt")
    torch.save(official("diffbir", "controlnet"), folder / "v2.pth")
    return folder / "sd.ckpt", folder / "v2.pth"


@pytest.fixture(scope="session")
def diffbir(diffbir_files: Any, diffbir_config: Any) -> tuple[Any, Any]:
    """UNet and control net."""
    from real.backbones.diffbir import load_controlnet, load_unet

    with pytest.warns(UserWarning, match="pickled weights"):
        unet = load_unet(diffbir_files[0], config=diffbir_config, pickled_weights=True)
    with pytest.warns(UserWarning, match="pickled weights"):
        controlnet = load_controlnet(diffbir_files[1], config=diffbir_config, pickled_weights=True)
    return unet, controlnet


@pytest.fixture(scope="session")
def seesr_folder(tmp_path_factory: pytest.TempPathFactory, official: Any, seesr_configs: Any) -> Path:
    """As the authors publish it."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("seesr")
    for network in ("unet", "controlnet"):
        (folder / network).mkdir()
        (folder / network / "config.json").write_text(json.dumps(seesr_configs[f"tiny_{network}"]))
        save_file(official("seesr", network), folder / network / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def seesr(seesr_folder: Path) -> tuple[Any, Any]:
    """UNet and control net."""
    from real.backbones.seesr import load_network

    return load_network(seesr_folder, "unet"), load_network(seesr_folder, "controlnet")


@pytest.fixture(scope="session")
def sd_base(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Callable[..., Path]:
    """Makes folders in the shape of Stable Diffusion 2, eight pixels a latent, random weights."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    from real.backbones.grids import ddim_options

    def make(width: int, unet: Any = None) -> Path:
        folder = tmp_path_factory.mktemp("base")
        torch.manual_seed(5)
        AutoencoderKL(
            block_out_channels=(4, 4, 4, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=2,
            mid_block_add_attention=False,
        ).save_pretrained(folder / "vae")
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=60,
                hidden_size=width,
                intermediate_size=width,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=60,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        ).save_pretrained(folder / "text_encoder")
        tokenizer.save_pretrained(folder / "tokenizer")
        settings = json.loads((folder / "tokenizer" / "tokenizer_config.json").read_text())
        (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 60}))
        DDIMScheduler(**ddim_options()).save_pretrained(folder / "scheduler")
        if unet is not None:
            unet.save_pretrained(folder / "unet")
        (folder / "kds.json").write_text(json.dumps({"bandwidth": 5.0}))
        return folder

    return make


@pytest.fixture(scope="session")
def diffbir_base(sd_base: Any, diffbir: Any) -> Path:
    return sd_base(16, diffbir[0])


@pytest.fixture(scope="session")
def seesr_base(sd_base: Any) -> Path:
    return sd_base(24)


@pytest.fixture(scope="session")
def control_file(tmp_path_factory: pytest.TempPathFactory, official: Any) -> Path:
    """DiffBIR's control net as safetensors, official names."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("control") / "v2.safetensors"
    save_file(official("diffbir", "controlnet"), path)
    return path


@pytest.fixture(scope="session")
def tokens_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Image tokens, as SeeSR's tagger gives them, but few."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("tokens") / "photo.safetensors"
    save_file({"image_tokens": torch.randn(1, 5, 512, generator=torch.Generator().manual_seed(6))}, path)
    return path


@pytest.fixture(scope="session")
def parts(diffbir_base: Path, seesr_base: Path, control_file: Path, seesr_folder: Path, tokens_file: Path) -> Any:
    """Model -> options of the command line that name its tiny parts."""
    size = ["--process-size", "64"]
    return {
        "diffbir": ["--model", "diffbir", "--base", str(diffbir_base), "--control", str(control_file), *size],
        "seesr": ["--model", "seesr", "--base", str(seesr_base), "--seesr", str(seesr_folder), *size],
    }


@pytest.fixture(scope="session")
def recipes(diffbir_base: Path, seesr_base: Path, control_file: Path, seesr_folder: Path) -> dict[str, Any]:
    """The same for Python."""
    from dataclasses import replace

    from real.backbones.recipes import RECIPES

    places = {"diffbir": (diffbir_base, control_file), "seesr": (seesr_base, seesr_folder)}
    return {
        name: replace(RECIPES[name], base=str(base), weights=str(weights), process_size=64)
        for name, (base, weights) in places.items()
    }
