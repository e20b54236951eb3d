"""Training: it learns, it resumes to the same numbers, it refuses what does not fit."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from diffusers import VQModel  # noqa: E402

from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.filling import fill_smoothly  # noqa: E402
from real.images.holes import HOLES, draw_hole  # noqa: E402
from real.images.masks import latent_mask  # noqa: E402
from real.models.regression import RegressionNetwork, load_regression, regress  # noqa: E402
from real.train.__main__ import main  # noqa: E402
from real.train.autoencoder import train_autoencoder  # noqa: E402
from real.train.crops import CropSampler, load_photos  # noqa: E402
from real.train.decoder import DecoderSettings, train_decoder  # noqa: E402
from real.train.latents import Batches, EncodedPhoto, draw_timesteps, encode_photos  # noqa: E402
from real.train.normalised import AutoencoderSettings, NormalisedVQModel, Whitening, joined, parted  # noqa: E402
from real.train.optimizer import orthogonalise  # noqa: E402
from real.train.record import denoiser_of, read_record, short, write_record  # noqa: E402
from real.train.regression import RegressionSettings, train_regression  # noqa: E402
from real.train.tasks import InpaintingTask, SuperResolutionTask, _known_part  # noqa: E402
from real.train.training_run import RunSettings, TrainingRun  # noqa: E402
from real.train.unet import UNetSettings, _take_over, ldm_sr_scheduler, noise_loss, train_unet  # noqa: E402

SMALL = AutoencoderSettings(channels=(8, 8, 8), groups=4, codes=16, crop=32, batch=4, mixed=4)
SMALL_UNET = UNetSettings(channels=(8, 8), groups=4, crop=8, batch=4)
SR_TASK = SuperResolutionTask(Degradation())


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (4, 10, 12, 3), dtype=np.uint8)
    return [np.kron(b, np.ones((8, 8, 1), np.uint8)) for b in blocks]


def settings(steps: int, **options: int) -> RunSettings:
    return RunSettings(steps=steps, bf16=False, warmup=5, log_every=5, checkpoint_every=5, **options)


def test_orthogonalise_flattens_the_singular_values() -> None:
    matrix = torch.randn(12, 40, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, 1, 12)[:, None]
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalise(matrix)
    values = torch.linalg.svdvals(result)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    assert float((result * (u @ vt)).sum() / (result.norm() * (u @ vt).norm())) > 0.97
    assert torch.allclose(orthogonalise(matrix.T), result.T, atol=1e-2)


def test_both_stages_learn_and_export_one_folder(photos: list[np.ndarray], tmp_path: Path) -> None:
    from real import open_model
    from real.train.export import export_model

    counts = {"used": 4}
    train_autoencoder(photos, tmp_path / "a", SMALL, Degradation(), settings(150), counts, command="a")
    unet_settings = settings(30)
    train_unet(photos, tmp_path / "a", tmp_path / "u", SMALL_UNET, SR_TASK, unet_settings, counts, command="u")
    for stage, name in (("a", "autoencoder"), ("u", "unet")):
        rows = [json.loads(line) for line in (tmp_path / stage / "curve.jsonl").read_text().splitlines()]
        assert rows[-1]["loss"] < 0.8 * rows[0]["loss"], (name, rows[0], rows[-1])
    export_model(tmp_path / "a", tmp_path / "u", tmp_path / "model")
    assert open_model(str(tmp_path / "model"), device="cpu", dtype="float32").unet.config.in_channels == 6
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert record["unet"]["command"] == "u"
    assert record["autoencoder"]["settings"]["codes"] == 16
    with pytest.raises(UserError, match="output"):
        export_model(tmp_path / "a", tmp_path / "u", tmp_path / "model")
    for wrong in (0.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="bandwidth must be a positive finite number, got"):
            export_model(tmp_path / "a", tmp_path / "u", tmp_path / "other", bandwidth=wrong)
    assert not (tmp_path / "other").exists()
    export = ["export", "--autoencoder", tmp_path / "a", "--unet", tmp_path / "u", "--output", tmp_path / "other"]
    assert main([*map(str, export), "--bandwidth", "0.5"]) == 0
    models = [open_model(str(tmp_path / name), device="cpu", dtype="float32") for name in ("model", "other")]
    assert [model.bandwidth for model in models] == [0.3, 0.5]


def test_folding_changes_nothing(photos: list[np.ndarray]) -> None:
    torch.manual_seed(0)
    model = NormalisedVQModel(SMALL)
    model.norm.mean.copy_(torch.tensor([0.3, -1.0, 2.0]))
    model.norm.covariance.copy_(torch.tensor([[0.5, 0.3, 0.0], [0.3, 2.0, -1.0], [0.0, -1.0, 9.0]]))
    model.eval()
    x = torch.from_numpy(photos[0][:32, :32].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        before = model.encode(x)
        after = model.folded().encode(x).latents
    assert torch.allclose(before, after, atol=1e-5)


def test_mixed_latents_take_their_detail_from_another_crop() -> None:
    rng = torch.Generator().manual_seed(0)
    z, predicted = torch.randn(3, 3, 2, 2, generator=rng), torch.randn(3, 3, 2, 2, generator=rng)
    mixed = NormalisedVQModel(SMALL).mixed(z, predicted, torch.tensor([0.0, 0.25])[:, None, None, None])
    assert mixed.shape == (2, 3, 2, 2)
    assert torch.equal(mixed[0], predicted[0])  # a share of 0: the prediction alone
    expected = predicted[1, 2, 1, 0] + 0.25 * (z[0, 2, 1, 1] - predicted[0, 2, 1, 1])  # crop 0's, mirrored
    assert float(mixed[1, 2, 1, 0]) == pytest.approx(float(expected))


def test_a_new_scale_of_the_latents_changes_no_picture(photos: list[np.ndarray], tmp_path: Path) -> None:
    counts = {"used": 4}
    first = train_autoencoder(photos, tmp_path / "a", SMALL, Degradation(), settings(40), counts, command="first")
    first.quant_conv.weight.data *= 5.0  # an autoencoder of another scale, as earlier ones had
    first.quant_conv.bias.data *= 5.0
    first.quantize.embedding.weight.data *= 5.0
    first.post_quant_conv.weight.data /= 5.0
    wider = NormalisedVQModel(SMALL).eval()
    wider.start_from(first)
    x = torch.from_numpy(photos[0][:64, :64].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        z, wide = first.encode(x).latents, wider.encode(x)
        codes = torch.linalg.cholesky(first.quantize.embedding.weight.T.cov() + 1e-5 * torch.eye(3))
        white = torch.linalg.inv(codes) @ z[0].flatten(1)  # what the codes span has covariance 1 now
        difference = wider.decode(wide) - first.decoder(first.post_quant_conv(z))
    assert torch.allclose(wide[0].flatten(1), white, rtol=1e-3, atol=1e-3)
    assert float(difference.abs().max()) < 1e-3
    options = {"start_from": tmp_path / "a", "command": "second"}
    train_autoencoder(photos, tmp_path / "b", SMALL, Degradation(), settings(5), counts, **options)
    assert json.loads((tmp_path / "b" / "record.json").read_text())["started_from"]["command"] == "first"


def test_earlier_runs_keep_the_last_point_of_their_curves() -> None:
    def of(name: str, **more: object) -> dict[str, object]:
        return {"command": name, "curve": [{"step": 1}, {"step": 2}], **more}

    stages = {"autoencoder": of("autoencoder", started_from=of("first")), "unet": of("unet")}
    record = of("decoder", started_from=stages)
    kept = short(record)
    assert kept["curve"] == record["curve"]
    assert kept["started_from"] == {
        **stages["autoencoder"],
        "curve": [{"step": 2}],
        "started_from": kept["started_from"]["started_from"],
    }
    assert kept["started_from"]["started_from"] == {"command": "first", "curve": [{"step": 2}]}
    assert record == of("decoder", started_from=stages)  # not changed


def test_a_wider_network_takes_over_a_narrower_one(photos: list[np.ndarray]) -> None:
    torch.manual_seed(0)
    narrow = NormalisedVQModel(SMALL).vq
    torch.nn.init.normal_(narrow.quantize.embedding.weight)
    wide = NormalisedVQModel(replace(SMALL, channels=(12, 8, 16)))
    wide.start_from(narrow)
    first, former = wide.vq.encoder.conv_in.weight, narrow.encoder.conv_in.weight
    assert torch.equal(first[:8], former)
    assert bool((first[8:] != 0).all())  # the new channels see the photo
    second = wide.vq.encoder.down_blocks[0].resnets[0].conv1.weight
    assert torch.equal(second[:8, :8], narrow.encoder.down_blocks[0].resnets[0].conv1.weight)
    assert not bool(second[:8, 8:].any())  # the former channels see nothing of them
    with pytest.raises(ValueError, match="channels must be at least the former network's, got a weight"):
        NormalisedVQModel(SMALL).start_from(wide.vq)


@pytest.mark.parametrize(
    ("option", "value"), [("channels", (8, 6, 8)), ("channels", (0, 8, 8)), ("mixed_weight", -1.0)]
)
def test_settings_that_cannot_be_trained_are_refused(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option} must be .*, got"):
        replace(SMALL, **{option: value})


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (DecoderSettings, "predicted", 9),
        (DecoderSettings, "predicted", -1),
    ],
)
def test_stages_that_cannot_be_run_are_refused(kind: Any, option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{option} must be .*, got"):
        kind(**{option: value})


def test_whitening_makes_the_channels_of_a_batch_uncorrelated() -> None:
    generator = torch.Generator().manual_seed(0)
    whitening = Whitening(3, momentum=1.0)
    mixing = torch.tensor([[1.0, 0.0, 0.2], [0.9, 0.1, 0.0], [-0.8, 0.3, 1.0]])
    h = torch.einsum("ij,bjhw->bihw", mixing, torch.randn(4, 3, 8, 8, generator=generator)) + 3.0
    trained = whitening(h)
    rows = trained.transpose(0, 1).flatten(1)
    assert torch.allclose(rows.mean(1), torch.zeros(3), atol=1e-4)
    assert torch.allclose(rows @ rows.T / rows.shape[1], torch.eye(3), atol=5e-3)
    assert torch.allclose(whitening.eval()(h), trained, atol=1e-4)  # momentum 1: the last batch's statistics


def test_joined_crops_lie_in_reading_order_and_part_again() -> None:
    crops = torch.arange(8 * 3 * 2 * 2).view(8, 3, 2, 2).float()
    pictures = joined(crops)
    assert pictures.shape == (2, 3, 4, 4)
    assert torch.equal(pictures[1, :, :2, 2:], crops[5])
    assert torch.equal(pictures[1, :, 2:, :2], crops[6])
    assert torch.equal(parted(pictures), crops)


def test_the_last_stage_trains_the_decoder_alone(photos: list[np.ndarray], tmp_path: Path) -> None:
    """On predictions and on encoded photos; the latents that the denoiser knows stay as they are."""
    counts, stages = {"used": 4}, (tmp_path / "a", tmp_path / "u")
    before = train_autoencoder(photos, stages[0], SMALL, Degradation(), settings(40), counts, command="a")
    train_unet(photos, *stages, SMALL_UNET, SR_TASK, settings(10), counts, command="u")
    task = DecoderSettings(crop=32, batch=4, predicted=2)
    after = train_decoder(photos, *stages, tmp_path / "d", task, Degradation(), settings(20), counts, command="d")
    x = torch.from_numpy(photos[0][:64, :64].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        z = before.encode(x).latents
        assert torch.equal(after.encode(x).latents, z)
        assert torch.equal(after.quantize.embedding.weight, before.quantize.embedding.weight)
        errors = [(vq.decode(z).sample - x).square().mean().item() for vq in (before, after)]
    assert errors[1] < 0.98 * errors[0]
    record = json.loads((tmp_path / "d" / "record.json").read_text())
    assert {name: r["command"] for name, r in record["started_from"].items()} == {"autoencoder": "a", "unet": "u"}
    apart, side_by_side = (
        train_decoder(
            photos,
            *stages,
            tmp_path / name,
            replace(task, mosaic=share),
            Degradation(),
            settings(3),
            counts,
            command=name,
        ).decoder.conv_out.weight
        for name, share in (("apart", 0.0), ("joined", 1.0))
    )
    assert not torch.equal(apart, side_by_side)  # the same crops, decoded as four pictures or as one


def test_the_denoiser_goes_on_from_a_finished_run_and_keeps_its_latents(
    photos: list[np.ndarray], tmp_path: Path
) -> None:
    counts = {"used": 4}
    train_autoencoder(photos, tmp_path / "a", SMALL, Degradation(), settings(10), counts, command="a")

    def train(name: str, start_from: Path | None, **options: int) -> torch.nn.Module:
        run = settings(10, **options)
        folders = (tmp_path / "a", tmp_path / name)
        return train_unet(photos, *folders, SMALL_UNET, SR_TASK, run, counts, start_from=start_from, command=name)

    first = train("u", None)
    kept = torch.load(tmp_path / "u" / "latents.pt", weights_only=True)["content"]
    assert sorted(z.numel() for z in kept) == sorted(p.size // 16 for p in photos)
    second = train("v", tmp_path / "u", seed=1)
    others = train("w", None, seed=1)

    def distance(a: torch.nn.Module, b: torch.nn.Module) -> float:
        pairs = zip(a.parameters(), b.parameters(), strict=True)
        return sum((p - q).square().sum().item() for p, q in pairs) ** 0.5

    assert distance(first, second) < 0.5 * distance(first, others)


@pytest.mark.parametrize("stop", [3, 7])
def test_a_killed_run_ends_like_an_uninterrupted_one(photos: list[np.ndarray], tmp_path: Path, stop: int) -> None:
    """Stopped between checkpoints; what was lost is done again, with the same random numbers."""
    weights = []
    for name, interrupted in (("whole", False), ("parts", True)):
        folder = tmp_path / name
        for attempt in range(2 if interrupted else 1):
            torch.manual_seed(0)
            model = torch.nn.Conv2d(3, 3, 3, padding=1)
            run = TrainingRun(model, folder, replace(settings(12), log_every=2), {"test": 1})
            sampler = CropSampler(photos, size=16, rng=run.rng)

            def loss(run=run, sampler=sampler, model=model, kill=interrupted and attempt == 0):
                if kill and run.step == stop:
                    raise KeyboardInterrupt
                x = torch.from_numpy(sampler.draw(2)).permute(0, 3, 1, 2).float() / 255
                return (model(x) - x + torch.randn(1, generator=run.generator)).square().mean(), 2

            if interrupted and attempt == 0:
                with pytest.raises(KeyboardInterrupt):
                    run.train(loss)
            else:
                run.train(loss)
        steps = [json.loads(line)["step"] for line in (folder / "curve.jsonl").read_text().splitlines()]
        assert steps == [2, 4, 6, 8, 10, 12]
        weights.append(model.weight.detach())
    assert torch.equal(*weights)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    model = torch.nn.Conv2d(3, 3, 3)
    TrainingRun(model, tmp_path, settings(12), {"channels": 8}).save()
    with pytest.raises(ValueError, match=r"output must be of a run with the same .*, got .* of others \(channels\)"):
        TrainingRun(model, tmp_path, settings(12), {"channels": 16})


def test_a_run_is_continued_with_its_own_seed_alone(tmp_path: Path) -> None:
    model = torch.nn.Conv2d(3, 3, 3)
    TrainingRun(model, tmp_path, settings(12), {}).save()
    with pytest.raises(UserError, match=r"of others \(seed\)"):
        TrainingRun(model, tmp_path, settings(12, seed=1), {})


def test_the_record_has_the_end_of_the_curve(tmp_path: Path) -> None:
    run = TrainingRun(torch.nn.Conv2d(3, 3, 3), tmp_path, settings(300), {})
    rows = [{"step": step} for step in range(1, 301)]
    (tmp_path / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_record(run, command="c", settings={}, data={})
    curve = json.loads((tmp_path / "record.json").read_text())["curve"]
    assert (curve[0], curve[-1]) == ({"step": 1}, {"step": 300})
    assert 100 <= len(curve) <= 102


def test_latents_are_computed_again_when_what_they_are_made_of_has_changed(
    photos: list[np.ndarray], tmp_path: Path
) -> None:
    """A run that is killed before its first checkpoint may be started again with anything else."""
    torch.manual_seed(0)
    first, second = (NormalisedVQModel(SMALL).vq.eval() for _ in range(2))

    def prepared(photos: list[np.ndarray], vqvae: VQModel, seed: int, folder: Path) -> list[np.ndarray]:
        folder.mkdir(exist_ok=True)
        pairs = encode_photos(photos, vqvae, folder, settings(1, seed=seed))
        task = InpaintingTask()
        task.prepare(pairs, vqvae, folder, settings(1, seed=seed))
        return [pair.latents for pair in pairs] + [known.latents for holes in task._known for known in holes]

    for number, changed in enumerate(((photos, second, 0), (photos, first, 1), (photos[::-1], first, 0))):
        prepared(photos, first, 0, tmp_path / "used")
        pairs = zip(prepared(*changed, tmp_path / "used"), prepared(*changed, tmp_path / f"new{number}"), strict=True)
        assert all(np.array_equal(again, anew) for again, anew in pairs)


def test_a_batch_depends_on_its_step_alone(photos: list[np.ndarray]) -> None:
    pairs = [EncodedPhoto(p, np.zeros((3, p.shape[0] // 4, p.shape[1] // 4), np.float16)) for p in photos]
    task = SuperResolutionTask(Degradation())
    task.prepare(pairs, None, Path(), settings(10))
    batches, others = (Batches(pairs, task, crop=8, batch=4) for _ in range(2))
    first, second = batches(3), batches(4)
    assert all(torch.equal(a, b) for a, b in zip(second, others(4), strict=True))
    assert not torch.equal(first[1], second[1])
    assert sorted((first[3] // 250).tolist()) == [0, 1, 2, 3]  # one time step in each quarter
    batches.close()
    others.close()


def test_holes_of_a_photo_are_a_box_and_two_other_kinds_by_turns() -> None:
    task = InpaintingTask()
    assert task.settings() == {"holes": 3, "kinds": ["box", "strokes", "scratches", "text", "speckles"]}
    assert task._kinds(0) == ["box", "scratches", "text"]
    assert {kind for index in range(4) for kind in task._kinds(index)} == set(HOLES)
    assert InpaintingTask(holes=4)._kinds(1) == ["box", "text", "speckles", "box"]
    with pytest.raises(UserError, match="holes must be a whole number of at least 1, got 0"):
        InpaintingTask(holes=0)


def test_an_inpainting_crop_is_what_the_restorer_tells_and_knows_nothing_of_what_is_in_the_hole(
    photos: list[np.ndarray], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    vqvae = NormalisedVQModel(SMALL).vq.eval()
    pairs = encode_photos(photos, vqvae, tmp_path, settings(1))
    task = InpaintingTask()
    task.prepare(pairs, vqvae, tmp_path, settings(1))

    # By hand: the third photo's first two masks from the generator, the photo filled and encoded as a whole.
    rng = np.random.default_rng([0, 3])
    kinds = [(pair.photo, kind) for index, pair in enumerate(pairs) for kind in task._kinds(index)]
    masks = [draw_hole(kind, *photo.shape[:2], rng) for photo, kind in kinds][6:8]
    x = torch.from_numpy(pairs[2].photo).permute(2, 0, 1)[None].float() / 127.5 - 1
    for mask, known in zip(masks, task._known[2], strict=False):
        with torch.no_grad():
            latents = vqvae.encode(fill_smoothly(x, mask)).latents[0].half().numpy()
        assert np.array_equal(known.latents, latents)
        assert np.array_equal(known.mask[0], latent_mask(mask).numpy())
        hidden = pairs[2].photo.copy()
        hidden[mask] = 255 - hidden[mask]
        other = torch.from_numpy(hidden).permute(2, 0, 1)[None].float() / 127.5 - 1
        assert torch.equal(fill_smoothly(other, mask), fill_smoothly(x, mask))

    again = InpaintingTask()
    again.prepare(pairs, None, tmp_path, settings(1))  # from the folder: nothing is encoded again
    pairs_of_parts = zip(again._known[3], task._known[3], strict=True)
    assert all(np.array_equal(a.latents, b.latents) and np.array_equal(a.mask, b.mask) for a, b in pairs_of_parts)


def test_an_inpainting_crop_holds_the_hole_or_lies_within_its_span(photos: list[np.ndarray]) -> None:
    """Boxes: every crop sees the whole box, or nothing but box along an axis on which it is longer than the crop."""
    shape = photos[0].shape[0] // 4, photos[0].shape[1] // 4  # (20, 24) latent pixels
    pair = EncodedPhoto(photos[0], np.arange(3 * shape[0] * shape[1]).reshape(3, *shape).astype(np.float16))
    rng = np.random.default_rng(0)
    for top, left, bottom, right in ((0, 0, 3, 4), (8, 6, 12, 24), (2, 3, 18, 7), (19, 23, 20, 24)):
        mask = np.zeros(photos[0].shape[:2], bool)
        mask[4 * top : 4 * bottom, 4 * left : 4 * right] = True
        task = InpaintingTask(holes=1)
        task._pairs, task._known = [pair], [[_known_part(mask, pair.latents)]]
        for _ in range(20):
            crop = task.draw(0, 12, rng)
            assert np.array_equal(crop.condition[:3], crop.latents)  # cut at one place
            inside = crop.condition[3] == 1.0
            rows, columns = int(inside.any(1).sum()), int(inside.any(0).sum())
            assert (rows, columns) == (min(bottom - top, 12), min(right - left, 12))


def test_a_denoiser_that_fills_holes_learns_and_is_exported(photos: list[np.ndarray], tmp_path: Path) -> None:
    from diffusers import UNet2DModel

    from real import open_model
    from real.train.export import export_model

    counts, stages = {"used": 4}, (tmp_path / "a", tmp_path / "u")
    train_autoencoder(photos, stages[0], SMALL, Degradation(), settings(20), counts, command="a")
    first = train_unet(photos, *stages, SMALL_UNET, SR_TASK, settings(5), counts, command="u")
    filling = replace(SMALL_UNET, crop=12, attention=True)
    mixed = [*photos, np.ascontiguousarray(photos[0][:44])]  # the last has no room for a crop of 48 pixels
    run = (filling, InpaintingTask(), settings(120), {"used": len(mixed)})
    train_unet(mixed, stages[0], tmp_path / "i", *run, start_from=stages[1], command="i")
    rows = [json.loads(line) for line in (tmp_path / "i" / "curve.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    trained = json.loads((tmp_path / "i" / "record.json").read_text(encoding="utf-8"))
    assert trained["photos"] == {"used": 4, "smaller_than_crop": 1}
    export_model(stages[0], tmp_path / "i", tmp_path / "model")
    network = UNet2DModel.from_pretrained(tmp_path / "model" / "unet")
    assert (network.config.in_channels, network.config.add_attention) == (7, True)
    assert json.loads((tmp_path / "model" / "kds.json").read_text()) == {"task": "inpainting", "hole": "smooth"}
    assert open_model(tmp_path / "model", task="inpaint").hole == "smooth"
    assert not (tmp_path / "model" / "model_index.json").exists()

    # One folder for both tasks: diffusers finds each network by its folder, the commands by their task.
    both = tmp_path / "both"
    arguments = ["export", "--autoencoder", stages[0], "--unet", stages[1], "--inpainting", tmp_path / "i"]
    assert main([str(word) for word in [*arguments, "--output", both]]) == 0
    models = [open_model(both, task=task, device="cpu", dtype="float32") for task in ("sr", "inpaint")]
    assert [model.family for model in models] == ["ldm-sr", "ldm-inpaint"]
    assert models[1].hole == "smooth"
    second = UNet2DModel.from_pretrained(both, subfolder="unet_inpainting")
    for found in (second, models[1].unet):
        assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network.parameters(), strict=True))
    pytest.importorskip("transformers")  # diffusers shows this pipeline only beside it
    from diffusers import LDMSuperResolutionPipeline

    assert set(LDMSuperResolutionPipeline.from_pretrained(both).components) == {"vqvae", "unet", "scheduler"}
    assert json.loads((both / "training.json").read_text())["unet_inpainting"]["command"] == "i"
    assert [denoiser_of(both, stage) for stage in ("unet", "inpainting")] == ["unet", "unet_inpainting"]
    assert read_record(both, "unet_inpainting")["command"] == "i"
    with pytest.raises(UserError, match="inpainting must hold a denoiser of 7 channels, got one of 6"):
        export_model(*stages, tmp_path / "wrong", inpainting=stages[1])
    with pytest.raises(UserError, match="unet must hold a denoiser of 6 channels, got one of 7"):
        export_model(stages[0], tmp_path / "i", tmp_path / "wrong", inpainting=tmp_path / "i")
    assert not (tmp_path / "wrong").exists()

    start = UNet2DModel.from_config(network.config)
    _take_over(start, first)
    assert torch.equal(start.conv_in.weight[:, :3], first.conv_in.weight[:, :3])
    assert torch.equal(start.conv_out.weight, first.conv_out.weight)
    with pytest.raises(ValueError, match="start_from must hold a network of the same architecture, got another"):
        _take_over(UNet2DModel.from_config({**network.config, "block_out_channels": (8, 16)}), first)
    too_large = (replace(filling, crop=1000), *run[1:])
    with pytest.raises(ValueError, match="photos must have a photo of at least 4000 pixels on both sides"):
        train_unet(photos, stages[0], tmp_path / "j", *too_large, command="j")


def test_crops_come_from_everywhere_and_the_sampler_refuses_small_photos(photos: list[np.ndarray]) -> None:
    crops = CropSampler(photos, size=16, rng=np.random.default_rng(0)).draw(64)
    assert crops.shape == (64, 16, 16, 3)
    assert len({c.tobytes() for c in crops}) == 64
    with pytest.raises(ValueError, match=r"photos must have a photo of at least .* pixels on both sides, got none"):
        CropSampler(photos, size=500, rng=np.random.default_rng(0))


def test_broken_and_small_files_are_counted(tmp_path: Path, photos: list[np.ndarray]) -> None:
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    Image.fromarray(photos[0][:20, :20]).save(tmp_path / "b.png")
    (tmp_path / "c.jpg").write_bytes(b"broken")
    loaded, counts = load_photos([tmp_path], progress=False)
    assert len(loaded) == 1
    assert counts == {"used": 1, "unreadable": 1, "too_small": 1}
    large, _ = load_photos([tmp_path], progress=False, max_pixels=2400, min_side=16)
    assert all(p.shape[0] * p.shape[1] < 2600 for p in large)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["autoencoder", "--photos", "{nowhere}", "--output", "{out}"], "photos"),
        (["unet", "--photos", "{photos}", "--autoencoder", "{nowhere}", "--output", "{out}"], "autoencoder"),
        (["export", "--autoencoder", "{nowhere}", "--unet", "{nowhere}", "--output", "{out}"], "finished run"),
        (["autoencoder", "--photos", "{photos}", "--output", "{out}", "--steps", "0"], "--steps"),
        (["autoencoder", "--photos", "{photos}", "--output", "{out}", "--start-from", "{nowhere}"], "finished run"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str], named: str, tmp_path: Path, photos: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(photos[0]).save(tmp_path / "photos" / "a.png")
    places = {"nowhere": tmp_path / "nowhere", "out": tmp_path / "out", "photos": tmp_path / "photos"}
    assert main([a.format(**places) for a in arguments]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error" in last
    assert named in last


def test_timesteps_are_one_in_each_of_equal_parts() -> None:
    drawn = draw_timesteps(40_000, np.random.default_rng(0))
    assert (drawn.dtype, drawn.min(), drawn.max()) == (np.int64, 0, 999)
    assert np.bincount(drawn // 100).tolist() == [4000] * 10
    few = draw_timesteps(8, np.random.default_rng(1))
    assert (few // 125).tolist() == list(range(8))
    assert np.array_equal(few, draw_timesteps(8, np.random.default_rng(1)))


def test_the_loss_is_that_of_v_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    x0, eps, wrong = (torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    alpha_bar = ldm_sr_scheduler().alphas_cumprod.double()[[0, 300, 999]][:, None, None, None]
    a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    x_t = a * x0 + s * eps
    v, predicted_v = (a * noise - s * (x_t - s * noise) / a for noise in (eps, wrong))
    assert float(noise_loss(wrong, eps, alpha_bar)) == pytest.approx(float((predicted_v - v).square().mean()))


def test_a_regression_network_learns_and_is_read_again(photos: list[np.ndarray], tmp_path: Path) -> None:
    small = RegressionSettings(width=8, blocks=1, crop=32, batch=4)
    run = (small, Degradation(skip=1.0), settings(150, learning_rate=0.003), {"used": 4})
    model = train_regression(photos, tmp_path, *run, command="r")
    truths = [photo[:64, :96] for photo in photos]
    pairs = [(truth, Degradation(skip=1.0)(truth, np.random.default_rng(0))) for truth in truths]

    def error(network: RegressionNetwork) -> float:
        return float(np.mean([np.square(regress(network, low).astype(float) - truth).mean() for truth, low in pairs]))

    assert error(model) < 0.9 * error(RegressionNetwork(width=8, blocks=1))  # which is bicubic interpolation
    assert json.loads((tmp_path / "record.json").read_text())["command"] == "r"

    low = photos[0][:16, :20]
    again = load_regression(tmp_path / "regression")
    assert regress(again, low).shape == (64, 80, 3)
    difference = regress(again, low).astype(int) - regress(model.eval(), low)
    assert np.abs(difference).max() <= 1  # half precision on the disk
    with pytest.raises(FileNotFoundError, match="no regression network"):
        load_regression(tmp_path)


def test_a_regression_network_starts_as_bicubic_interpolation() -> None:
    low = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    x = torch.from_numpy(low).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(x, scale_factor=4, mode="bicubic").round().clamp(0, 255)
    found = regress(RegressionNetwork(width=4, blocks=1), low)
    assert np.abs(found.astype(float) - expected[0].permute(1, 2, 0).numpy()).max() <= 1


def test_a_small_batch_of_the_decoder_has_a_prediction(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import real.train.__main__ as command

    seen: list[DecoderSettings] = []
    monkeypatch.setattr(command, "train_decoder", lambda *args, **options: seen.append(args[4]))
    monkeypatch.setattr(command, "load_photos", lambda folders: ([], {}))
    folders = ["--photos", "p", "--autoencoder", "a", "--unet", "u", "--output", str(tmp_path / "out")]
    for batch, predicted in (([], 2), (["--batch", "2"], 1), (["--batch", "16"], 4)):
        assert main(["decoder", *folders, *batch]) == 0
        assert seen.pop().predicted == predicted
