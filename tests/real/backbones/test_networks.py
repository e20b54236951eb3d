"""DiffBIR's and SeeSR's networks give what the official code gives; every official weight is used, none is missing."""

import copy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from safetensors.torch import save_file  # noqa: E402

from real.backbones import diffbir as diffbir_networks  # noqa: E402
from real.backbones import seesr as seesr_networks  # noqa: E402
from real.backbones.control import evaluate  # noqa: E402
from real.backbones.diffbir_keys import controlnet_weights, unet_weights  # noqa: E402
from real.backbones.seesr_keys import network_weights  # noqa: E402
from real.backbones.weights import check_keys, load_exactly, read_weights  # noqa: E402
from real.errors import UserError  # noqa: E402

CLOSE = {"atol": 5e-5, "rtol": 1e-4}


@pytest.fixture(scope="module")
def of_diffbir(golden: Any) -> dict[str, Any]:
    return golden("diffbir_networks")


@pytest.fixture(scope="module")
def of_seesr(golden: Any) -> dict[str, Any]:
    return golden("seesr_networks")


def diffbir_inputs(g: dict[str, Any]) -> dict[str, Any]:
    return {"x_t": g["in_x"], "t": g["in_timesteps"], "text": g["in_context"], "condition": g["in_hint"]}


def seesr_inputs(g: dict[str, Any]) -> dict[str, Any]:
    return {
        "x_t": g["in_sample"],
        "t": g["in_timesteps"],
        "text": g["in_encoder_hidden_states"],
        "condition": g["in_controlnet_cond"],
        "image_tokens": g["in_image_encoder_hidden_states"],
    }


@pytest.mark.parametrize(("scale", "name"), [(1.0, "out_eps"), (0.5, "out_eps_scale05"), (0.0, "out_eps_no_control")])
@torch.no_grad()
def test_diffbir_predicts_what_the_official_code_does(diffbir: Any, of_diffbir: Any, scale: float, name: str) -> None:
    result = evaluate(*diffbir, **diffbir_inputs(of_diffbir), control_scale=scale)
    torch.testing.assert_close(result, of_diffbir[name], **CLOSE)


@torch.no_grad()
def test_diffbirs_controls_are_the_official_ones_one_by_one(diffbir: Any, of_diffbir: Any) -> None:
    unet, controlnet = diffbir
    x, t, text = of_diffbir["in_x"], of_diffbir["in_timesteps"], of_diffbir["in_context"]
    skips, middle = controlnet(
        x, t, encoder_hidden_states=text, controlnet_cond=of_diffbir["in_hint"], return_dict=False
    )
    controls = [*skips, middle]
    assert len(controls) == 5
    for i, control in enumerate(controls):
        torch.testing.assert_close(control[:, ::8], of_diffbir[f"out_control_{i:02}"], **CLOSE)
    alone = unet(
        x,
        t,
        encoder_hidden_states=text,
        down_block_additional_residuals=[torch.zeros_like(skip) for skip in skips],
        mid_block_additional_residual=middle,
    ).sample
    torch.testing.assert_close(alone, of_diffbir["out_eps_only_mid_control"], **CLOSE)


@pytest.mark.parametrize(("scale", "name"), [(1.0, "out_eps"), (0.5, "out_eps_scale05"), (0.0, "out_eps_no_control")])
@torch.no_grad()
def test_seesr_predicts_what_the_official_code_does(seesr: Any, of_seesr: Any, scale: float, name: str) -> None:
    result = evaluate(*seesr, **seesr_inputs(of_seesr), control_scale=scale)
    torch.testing.assert_close(result, of_seesr[name], **CLOSE)


@torch.no_grad()
def test_seesr_in_float64_is_exact(seesr: Any, of_seesr: Any) -> None:
    networks = [copy.deepcopy(network).double() for network in seesr]
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in seesr_inputs(of_seesr).items()}
    torch.testing.assert_close(evaluate(*networks, **inputs), of_seesr["out_eps_f64"], atol=1e-10, rtol=0)


@torch.no_grad()
def test_seesrs_controls_and_its_answer_to_empty_image_tokens(seesr: Any, of_seesr: Any) -> None:
    unet, controlnet = seesr
    x, t, text = of_seesr["in_sample"], of_seesr["in_timesteps"], of_seesr["in_encoder_hidden_states"]
    tokens = of_seesr["in_image_encoder_hidden_states"]
    common = {"encoder_hidden_states": text, "return_dict": False}
    skips, middle = controlnet(
        x,
        t,
        controlnet_cond=of_seesr["in_controlnet_cond"],
        cross_attention_kwargs={"image_tokens": tokens},
        **common,
    )
    assert len(skips) == 4
    for control, name in ((skips[0], "down_00"), (skips[3], "down_03"), (middle, "mid")):
        torch.testing.assert_close(control, of_seesr[f"out_control_{name}"], **CLOSE)
    (empty,) = unet(
        x,
        t,
        cross_attention_kwargs={"image_tokens": torch.zeros_like(tokens)},
        down_block_additional_residuals=skips,
        mid_block_additional_residual=middle,
        **common,
    )
    torch.testing.assert_close(empty, of_seesr["out_eps_image_tokens_zero"], **CLOSE)


@torch.no_grad()
def test_seesr_without_image_tokens_says_what_it_needs(seesr: Any, of_seesr: Any) -> None:
    with pytest.raises(ValueError, match=r"image_tokens must be \(B, K, 512\) for SeeSR"):
        evaluate(*seesr, **{**seesr_inputs(of_seesr), "image_tokens": None})


@pytest.mark.parametrize("model", ["diffbir", "seesr"])
@pytest.mark.parametrize("network", ["unet", "controlnet"])
def test_every_full_size_weight_has_its_place(model: str, network: str, shapes: Any, seesr_configs: Any) -> None:
    name = "diffbir_full_v2" if model == "diffbir" else "seesr_full"
    entries = shapes[f"{name}_{network}"]
    with torch.device("meta"):
        state = {key: torch.empty(*shape) for key, shape in entries.items()}
        if model == "diffbir":
            build = {"unet": diffbir_networks.build_unet, "controlnet": diffbir_networks.build_controlnet}[network]
            ours = build(diffbir_networks.network_config())
            renamed = {"unet": unet_weights, "controlnet": controlnet_weights}[network](state)
        else:
            ours = seesr_networks.build_network(network, seesr_configs[f"full_{network}"])
            renamed = network_weights(state)
    split = (model, network) == ("diffbir", "controlnet")  # one convolution became two
    assert len(renamed) == len(entries) + split
    check_keys(ours.state_dict(), renamed, name=name)
    count = sum(p.numel() for p in ours.parameters())
    published = {
        ("diffbir", "unet"): 865_910_724,
        ("diffbir", "controlnet"): 363_153_280,
        ("seesr", "unet"): 1_126_760_324,
        ("seesr", "controlnet"): 489_031_440,
    }
    assert count == published[model, network]


def test_a_missing_a_superfluous_and_a_misshapen_weight_are_told(official: Any, diffbir_config: Any) -> None:
    network = diffbir_networks.build_unet(diffbir_config)
    state = unet_weights(official("diffbir", "unet"), layers_per_block=1)
    load_exactly(network, state, name="x")
    assert not network.training
    without = {k: v for k, v in state.items() if k != "conv_in.bias"}
    with pytest.raises(UserError, match=r"weights must have exactly .*, got x without conv_in\.bias; is it another"):
        load_exactly(network, without, name="x")
    with pytest.raises(UserError, match=r"got x with the further more\.bias;"):
        load_exactly(network, {**state, "more.bias": torch.zeros(1)}, name="x")
    with pytest.raises(UserError, match=r"got x with conv_in\.bias of shape \(5,\) in place of \(32,\);"):
        load_exactly(network, {**state, "conv_in.bias": torch.zeros(5)}, name="x")
    with pytest.raises(UserError, match=r"and 5 more"):
        check_keys({}, {str(i): torch.zeros(1) for i in range(8)}, name="x")


def test_foreign_names_and_shapes_are_refused(official: Any) -> None:
    with pytest.raises(UserError, match=r"weights must have the names .*, got 'zero_convs\.0\.bias'"):
        unet_weights({"zero_convs.0.bias": torch.zeros(1)})
    state = official("diffbir", "controlnet")
    with pytest.raises(UserError, match=r"input_blocks\.0\.0\.weight as .*, got absent"):
        controlnet_weights({k: v for k, v in state.items() if k != "input_blocks.0.0.weight"}, layers_per_block=1)
    with pytest.raises(UserError, match=r"got \(32, 3, 3, 3\)"):
        controlnet_weights({**state, "input_blocks.0.0.weight": torch.zeros(32, 3, 3, 3)}, layers_per_block=1)


def test_pickles_are_read_only_where_they_are_allowed(diffbir_files: Any, tmp_path: Path, official: Any) -> None:
    with pytest.raises(UserError, match=r"weights must be safetensors, got .*, a pickle.*`pickled_weights=True`"):
        read_weights(diffbir_files[1])
    with pytest.warns(UserWarning, match="pickled weights are allowed"):
        read = read_weights(diffbir_files[0], pickled_weights=True)
    assert "model.diffusion_model.time_embed.0.bias" in read
    assert not {"global_step", "decay"} & set(read)
    save_file(official("diffbir", "controlnet"), tmp_path / "v2.safetensors")
    same = read_weights(tmp_path / "v2.safetensors")
    assert torch.equal(same["zero_convs.0.0.bias"], official("diffbir", "controlnet")["zero_convs.0.0.bias"])
    for name, content, message in (
        ("a.safetensors", b"no", "weights must be weights that can be read, got"),
        ("a.zip", b"no", r"one of the endings \.safetensors, \.bin"),
        ("b.safetensors", None, "must be an existing file, got"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_weights(tmp_path / name)


@pytest.mark.filterwarnings("ignore:pickled weights")
def test_a_pickle_with_code_or_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": Path("/")}, tmp_path / "code.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="must be weights that can be read"):
        read_weights(tmp_path / "code.pt", pickled_weights=True)
    with pytest.raises(UserError, match="must hold a dictionary of tensors, got a list"):
        read_weights(tmp_path / "list.pt", pickled_weights=True)


def test_a_network_of_the_stock_kind_is_not_taken_for_seesrs(seesr_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    with pytest.raises(UserError, match=r"must have a config\.json that can be read, got"):
        seesr_networks.load_network(tmp_path, "unet")
    (tmp_path / "unet" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="does not say use_image_cross_attention"):
        seesr_networks.load_network(tmp_path, "unet")
    with pytest.raises(ValueError, match=r"kind must be .*got 'vae'"):
        seesr_networks.load_network(seesr_folder, "vae")
    with pytest.raises(ValueError, match=r"kind must be .*got 'vae'"):
        seesr_networks.build_network("vae", {})


def test_half_precision_halves_the_weights(seesr_folder: Path) -> None:
    network = seesr_networks.load_network(seesr_folder, "controlnet", dtype=torch.float16)
    assert {p.dtype for p in network.parameters()} == {torch.float16}
