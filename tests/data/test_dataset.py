"""Which clips a step sees, and clips that are encoded once."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ivtutorial.data.clips import Clip
from ivtutorial.data.dataset import LatentDataset, encode_clips, positions, slot_generator
from ivtutorial.data.latent_cache import LatentCache
from ivtutorial.errors import InputError
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.method.noise import draw_noise
from ivtutorial.method.segvr import choose_frames
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.rivals.denoising import draw_timesteps
from ivtutorial.rivals.direct_align import draw_moves
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import write_video
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

from tests.training.runs import CAPTIONS


@pytest.mark.parametrize(("clips", "batch_size", "slots"), [(7, 2, 1), (5, 4, 2), (3, 8, 1)])
def test_every_clip_comes_once_before_any_comes_again(clips: int, batch_size: int, slots: int) -> None:
    """Batches of all slots in a row are permutations in a row, also where N is no multiple of the batch."""
    steps = math.ceil(4 * clips / (batch_size * slots))
    stream = [
        place for n in range(steps) for s in range(slots) for place in positions(clips, batch_size, n, s, slots, seed=3)
    ]
    epochs = [stream[k * clips : (k + 1) * clips] for k in range(4)]
    assert all(sorted(epoch) == list(range(clips)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1 or clips < 4
    assert positions(50, 8, 0, 0, 1, seed=3) != positions(50, 8, 0, 0, 1, seed=4)


def test_slots_draw_independently() -> None:
    """Seed, step and slot each change the draws, and dropout; nothing else does."""
    with torch.random.fork_rng(devices=[]):
        keys = [(0, 0, 0, 1), (1, 0, 0, 1), (0, 1, 0, 1)]
        draws = {tuple(torch.randn(3, generator=slot_generator(*key)).tolist()) for key in keys}
        slot_generator(0, 0, 0)
        dropout = torch.rand(3)
        slot_generator(0, 0, 0)
        assert len(draws) == 3 and torch.equal(torch.rand(3), dropout)
        slot_generator(0, 0, 1, 2)
        assert not torch.equal(torch.rand(3), dropout)


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_what_a_clip_draws_does_not_depend_on_how_a_step_is_split(slots: int) -> None:
    """Noise, frames, timesteps and moves of four clips, drawn in 1, 2 or 4 slots one after another."""
    schedule = make_scheduler()

    def drawn(slot: int, slots: int) -> list[Any]:
        source, count = slot_generator(3, 5, slot, slots), 4 // slots
        rows: list[Any] = [draw_noise((count, 4, 2, 3, 3), source, offset=0.1)]
        rows += [choose_frames(16, 4, count, source, how) for how in ("random", "attenuated")]
        rows += [draw_timesteps(schedule, count, source), FlowSchedule().draw_timesteps(count, source)]
        rows.append(torch.tensor(draw_moves(schedule, [(900, 800), (800, 700), (700, 600)], "uniform", count, source)))
        return rows

    with torch.random.fork_rng(devices=[]):
        parts = zip(*(drawn(slot, slots) for slot in range(slots)), strict=True)
        for whole, part in zip(drawn(0, 1), parts, strict=True):
            assert torch.equal(torch.cat(part), whole)


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture
def fresh_toy(toy: Backbone) -> Backbone:
    return copy.deepcopy(toy)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    made = []
    for number, caption in enumerate(CAPTIONS[:3]):
        path = tmp_path / f"{number}.mp4"
        write_video(path, torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(number)))
        made.append(Clip(path, caption))
    return made


def test_clips_are_encoded_once(fresh_toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    """Latents are the VAE's; a second call reads them; other contents or settings are encoded anew."""
    seen: list[int] = []
    first = encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4, advance=seen.append)
    pixels = torch.from_numpy(read_video(clips[1].path, 4, 8, (16, 16))).permute(0, 3, 1, 2)[None].float() / 255
    assert_close(first.latents[1:2], fresh_toy.encode(pixels), n=roundings(fresh_toy.vae))
    second = encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4)
    assert torch.equal(first.latents, second.latents) and sum(seen) == 3
    encode_clips(fresh_toy, clips, tmp_path / "cache", frames=2)
    write_video(clips[0].path, torch.zeros(4, 3, 16, 16))
    assert not torch.equal(encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4).latents, first.latents)
    # Two settings; with four frames three clips, and one more since the first has changed.
    four, two = sorted((tmp_path / "cache").glob("*"), key=lambda folder: -len(list(folder.iterdir())))
    assert (len(list(four.glob("*.safetensors"))), len(list(two.glob("*.safetensors")))) == (4, 3)


def test_every_bad_clip_is_named(toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    clips[0].path.write_bytes(b"not a video")
    write_video(clips[2].path, torch.zeros(2, 3, 16, 16))
    with pytest.raises(InputError, match=r"2 bad of 3:\n.*0\.mp4.*\n.*2\.mp4"):
        encode_clips(toy, clips, tmp_path / "cache", frames=4)


def test_a_damaged_cache_is_named(toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    encode_clips(toy, clips, tmp_path / "cache", frames=4)
    file = next((tmp_path / "cache").glob("*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged.*Delete it"):
        encode_clips(toy, clips, tmp_path / "cache", frames=4)


def test_the_key_is_one_hash_of_captions_shape_and_all_latents_in_turn() -> None:
    """Runs that are stored are continued only with the same key, so its value may not change either."""
    latents = torch.randn(3, 4, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    data = LatentDataset(latents, ("a", "b", "c"))
    head = json.dumps(["a", "b", "c", [3, 4, 2, 2, 2]]).encode()
    assert data.key == hashlib.sha256(head + latents.numpy().tobytes()).hexdigest()[:16]


def test_latents_are_in_memory_once_while_they_are_read(
    fresh_toy: Backbone, clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what the files hold, no more than two clips are alive beside the data set."""
    refs: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    read = LatentCache.read

    def counted(store: LatentCache, clip: Clip) -> torch.Tensor:
        latents = read(store, clip)
        refs.append(weakref.ref(latents))
        alive.append(sum(ref() is not None for ref in refs))
        return latents

    monkeypatch.setattr(LatentCache, "read", counted)
    data = encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4)
    assert len(data) == 3 and max(alive) == 2
