"""Every method in the training loop: what a step costs, exact continuation, and the guards of the loss."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.cli.training import merge_settings
from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.lora import LORA_FILE, attach_lora, lora_parameters
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.training import guards
from ivtutorial.training.config import FinetuneConfig, read_config
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.guards import Guards
from ivtutorial.training.methods import step_losses
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

CAPTIONS = ["a red fox", "the deer running", "snow", "a deer", "the red snow"]
SHARED: dict[str, Any] = {"D": 2, "S": 2}
METHODS: list[Any] = [
    InstructVideo(tau=0.5, **SHARED),
    Draft(**SHARED),
    RWR(group=2, inner_updates=2, **SHARED),
    DDPO(group=2, inner_updates=2, **SHARED),
    Supervised(**SHARED),
    DirectAlign(tau=1.0, **SHARED),
]
CONFIG = FinetuneConfig(steps=2, lr=1e-2, frames=4, checkpoint_every=1, keep=2)


def named(method: Any) -> str:
    return type(method).__name__


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture(scope="module")
def data() -> LatentDataset:
    latents = torch.randn(5, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return LatentDataset(latents, CAPTIONS)


@pytest.fixture
def tuned(toy: Backbone, data: LatentDataset) -> tuple[Backbone, Batch]:
    """A model with an adapter that does something, and a batch."""
    backbone = copy.deepcopy(toy)
    attach_lora(backbone.unet)
    with torch.no_grad():
        for p in lora_parameters(backbone.unet):
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return backbone, data.batch(backbone, [0, 1])


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / LORA_FILE)


# --- the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "unet", "reward"),
    list(zip(METHODS, (4, 8, 24, 48, 2, 4), (4, 4, 8, 8, 0, 4), strict=True)),
    ids=map(named, METHODS),
)
def test_what_a_step_of_two_clips_costs(
    toy: Backbone, data: LatentDataset, tmp_path: Path, method: Any, unet: int, reward: int
) -> None:
    """Guidance doubles an evaluation. InstructVideo: 2 clips x 1 step x 2 = 4. DRaFT: 2 x 2 x 2 = 8. RWR: samples
    4 x 2 x 2 = 16, and 2 updates of 4 without guidance: 24. DDPO: samples 16, and 2 updates of 4 x 2 x 2: 48.
    Supervised: 2. Direct-Align: 2 x 2 = 4. The reward scores S = 2 frames of each clip that is made."""
    result = finetune(toy, data, redness, tmp_path / "run", replace(CONFIG, method=method), progress=False)
    rows = result.metrics
    assert [row["unet_evaluations"] for row in rows] == [unet, 2 * unet]
    assert [row["reward_calls"] for row in rows] == [reward, 2 * reward]
    assert all(row["grad_norm"] > 0 for row in rows)
    assert read_config(tmp_path / "run").method == method


@pytest.mark.parametrize("method", METHODS[2:], ids=named)
def test_a_run_that_was_cut_off_goes_on_bit_for_bit(
    toy: Backbone, data: LatentDataset, tmp_path: Path, method: Any
) -> None:
    config = replace(CONFIG, method=method)
    whole = finetune(toy, data, redness, tmp_path / "whole", config, progress=False)
    finetune(toy, data, redness, tmp_path / "parts", replace(config, steps=1), progress=False)
    parts = finetune(toy, data, redness, tmp_path / "parts", config, resume=True, progress=False)
    first, second = weights(whole.lora), weights(parts.lora)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", METHODS[2:4], ids=named)
def test_two_passes_are_one_pass_of_twice_the_clips_in_cost(
    toy: Backbone, data: LatentDataset, tmp_path: Path, method: Any
) -> None:
    config = replace(CONFIG, method=method, batch_size=1, accumulation=2, steps=1)
    [row] = finetune(toy, data, redness, tmp_path / "run", config, progress=False).metrics
    assert row["reward_calls"] == 8 and row["unet_evaluations"] == ({RWR: 24, DDPO: 48}[type(method)])


def test_a_loss_without_gradient_is_refused(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """A reward that cuts the gradient serves RWR, not DRaFT."""

    def deaf(frames: Tensor, captions: Sequence[str]) -> Tensor:
        return redness(frames, captions).detach()

    with pytest.raises(InputError, match="no gradient"):
        finetune(toy, data, deaf, tmp_path / "a", replace(CONFIG, method=Draft(**SHARED)), progress=False)
    config = replace(CONFIG, method=RWR(group=2, **SHARED), steps=1)
    assert finetune(toy, data, deaf, tmp_path / "b", config, progress=False).steps == 1


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_method_by_name(method: Any) -> None:
    result = merge_settings(None, {}, {"name": named(method).lower(), "D": 7}, [], False).method
    assert type(result) is type(method) and result.D == 7


def test_another_method_begins_with_its_own_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"steps": 5, "method": {"name": "InstructVideo", "tau": 0.3}}')
    kept = merge_settings(path, {}, {"name": "instructvideo"}, [], False)
    other = merge_settings(path, {}, {"name": "ddpo"}, ["method.K=[0, 3]", "guards.kl_weight=0.5"], False)
    assert kept.method == InstructVideo(tau=0.3) and other.method == DDPO(K=(0, 3))
    assert other.steps == 5 and other.guards == Guards(kl_weight=0.5)
    with pytest.raises(InputError, match="unknown setting 'tau' of Draft"):
        merge_settings(None, {}, {"name": "draft", "tau": 0.3}, [], False)
    with pytest.raises(InputError, match="'kl_weight' of FinetuneConfig: did you mean 'guards.kl_weight'"):
        merge_settings(None, {}, {}, ["kl_weight=0.5"], False)
    with pytest.raises(InputError, match="unknown method 'drift'"):
        merge_settings(None, {}, {"name": "drift"}, [], False)


# --- guards -----------------------------------------------------------------------------------------------------------


def test_a_fresh_adapter_is_at_no_distance_from_the_base_model(toy: Backbone, data: LatentDataset) -> None:
    """Its up matrices are zero, so both predictions agree, and so do the chain's steps."""
    backbone = copy.deepcopy(toy)
    attach_lora(backbone.unet)
    kl = guards.kl_to_base(backbone, data.batch(backbone, [0, 1]), 4, 3.0, torch.Generator().manual_seed(0))
    assert kl.requires_grad
    assert_close(kl.item(), 0.0, n=roundings(backbone.unet), size=1.0)


def test_kl_by_hand(tuned: tuple[Backbone, Batch]) -> None:
    """D = 2 leaves one step to draw, 501 -> 1. Its mean is x0 sqrt(abar_1) + e sqrt(1 - abar_1 - std^2), where
    x0 = (z - sqrt(1 - abar) e) / sqrt(abar): two predictions e that differ by d have means that differ by
    (sqrt(1 - abar_1 - std^2) - sqrt(abar_1 (1 - abar) / abar)) d."""
    backbone, batch = tuned
    result = guards.kl_to_base(backbone, batch, 2, 3.0, torch.Generator().manual_seed(0))
    a = backbone.scheduler.alphas_cumprod.double()
    abar, last = float(a[501]), float(a[1])
    std2 = (1 - last) / (1 - abar) * (1 - abar / last)
    factor = (1 - last - std2) ** 0.5 - (last * (1 - abar) / abar) ** 0.5
    generator = torch.Generator().manual_seed(0)
    torch.randint(1, (), generator=generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    z = abar**0.5 * batch.latents + (1 - abar) ** 0.5 * noise
    predict = backbone.predictor(batch.embeds, batch.uncond_embeds, 3.0)
    with torch.no_grad():
        now = predict(z, 501)
        with guards.adapter_off(backbone.unet):
            base = predict(z, 501)
        assert torch.equal(predict(z, 501), now), "the adapter is not back"
    expected = 2 * factor**2 * (now - base).square().mean().item() / (2 * std2)
    assert_close(result.item(), expected, n=roundings(backbone.unet, passes=2))
    assert expected > 0


def test_a_step_against_the_kl_brings_the_model_back(tuned: tuple[Backbone, Batch]) -> None:
    backbone, batch = tuned

    def kl() -> Tensor:
        return guards.kl_to_base(backbone, batch, 2, 3.0, torch.Generator().manual_seed(0))

    before = kl()
    before.backward()
    parameters = lora_parameters(backbone.unet)
    with torch.no_grad():
        size = sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None)
        for p in parameters:
            p.sub_(1e-2 * before.item() / size * p.grad)
    assert kl().item() < before.item()


def test_the_data_term_is_supervised_tuning(tuned: tuple[Backbone, Batch]) -> None:
    backbone, batch = tuned
    term = guards.data_loss(backbone, batch, torch.Generator().manual_seed(3))
    config = Supervised(caption_dropout=0.0)
    [(plain, _)] = config.losses(backbone, batch, None, torch.Generator().manual_seed(3))
    assert_close(term, plain, n=roundings(backbone.unet))


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_guards_are_added_with_their_weights(tuned: tuple[Backbone, Batch], method: Any) -> None:
    """loss + 2 L_data + 3 KL, with every draw of the method itself unchanged (its draws come first)."""
    backbone, batch = tuned
    [plain, *_] = step_losses(method, redness)(backbone, batch, torch.Generator().manual_seed(1))
    guarded = step_losses(method, redness, Guards(2.0, 3.0))(backbone, batch, torch.Generator().manual_seed(1))
    value, figures = next(guarded)
    numbers = {name: float(number) for name, number in figures.items()}
    expected = plain[0].item() + 2 * numbers["data_loss"] + 3 * numbers["kl"]
    assert numbers["kl"] > 0
    size = abs(plain[0].item()) + 2 * numbers["data_loss"] + 3 * numbers["kl"]
    assert_close(value.item(), expected, n=roundings(backbone.unet, backbone.vae, passes=4), size=size)


def test_a_heavy_kl_weight_holds_the_model_back(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """Six steps with and without: the guarded adapter's up matrices stay smaller."""
    sizes = []
    for weight in (0.0, 100.0):
        config = replace(CONFIG, method=METHODS[0], steps=6, guards=Guards(kl_weight=weight))
        state = weights(finetune(toy, data, redness, tmp_path / str(weight), config, progress=False).lora)
        sizes.append(sum(float(v.square().sum()) for name, v in state.items() if "lora_B" in name))
    assert sizes[1] < 0.9 * sizes[0]


@pytest.mark.parametrize("changes", [{"kl_weight": -1.0}, {"data_weight": float("nan")}])
def test_weights_out_of_range(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="_weight = "):
        Guards(**changes)
