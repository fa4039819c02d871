"""What chapters 1 and 3 say in words of the line world, of models and of their cost is what code and results say.

Whatever a chapter's own cells print is not held here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

import ivtutorial as iv
from ivtutorial.lab.reduced_models import reward
from tests.book.sentences import fault
from tests.book.test_playgrounds import best_answer
from tests.book.test_small_world import MEASURED, MODELS, millions, stored


@cache
def paths(D: int, guidance: float = 1.0, eta: float = 0.0) -> Tensor:
    """The two hundred numbers of the line world before each step and at the end, (D + 1, 200)."""
    answer, seen = best_answer(guidance), []
    start = torch.tensor([NormalDist().inv_cdf((k + 0.5) / 200) for k in range(200)], dtype=torch.float64)

    def predict(x: Tensor, t: int) -> Tensor:
        seen.append(x.flatten())
        return answer(x, t)

    source = torch.Generator().manual_seed(0)
    chain = iv.make_scheduler("epsilon")
    seen.append(iv.sample(predict, start.view(1, 1, 1, 1, -1), chain, D=D, eta=eta, generator=source).flatten())
    return torch.stack(seen)


def peak(D: int, guidance: float = 1.0, eta: float = 0.0) -> tuple[float, float]:
    """Where the numbers that end on the right lie, and how widely they spread; in this world at 1, by 0.25."""
    end = paths(D, guidance, eta)[-1]
    return float(end[end > 0].mean()), float(end[end > 0].std(correction=0))


def few_steps_displace_and_more_narrow() -> bool:
    near = all(peak(D)[0] < 0.91 for D in (2, 4, 5))
    narrow = all(peak(D)[0] > 0.95 and peak(D)[1] < 0.22 for D in (10, 20))
    return near and narrow and all(peak(D)[1] > 0.24 for D in (100, 200))


def guidance_obeys_and_overshoots() -> bool:
    share = [float((paths(20, guidance)[-1] > 0).double().mean()) for guidance in (0.0, 1.0, 3.0)]
    place, spread = peak(20, 3.0)
    return share[0] == 0.5 and abs(share[1] - 0.8) < 0.02 < 0.96 < share[2] and place > 1.1 and spread < 0.16


def fresh_noise_matters_with_few_steps() -> bool:
    lost = [peak(D)[1] - peak(D, eta=1.0)[1] for D in (20, 200)]
    return lost[0] > 0.015 and lost[1] < lost[0] and lost[1] < 0.02


def early_steps_turn_little() -> bool:
    """Angles on the circle of signal and noise at the start of the chain, after four of its steps and at its end."""
    chain = iv.make_scheduler("v_prediction")
    kept = chain.alphas_cumprod.double()
    times = [951, 751, 0]
    start, fourth, end = (float(torch.rad2deg(torch.arccos(kept[t].sqrt()))) for t in times)
    return f"{start - fourth:.1f}" == "8.5" and round(start - end) == 83


def unseen_combinations_are_as_measured() -> bool:
    unseen = MEASURED["samples"]["unseen"]
    return [f"{100 * unseen[name]['mean']:.0f}" for name in ("subject", "scene", "movement")] == ["96", "100", "78"]


def samples_are_as_measured() -> bool:
    seen, faults = MEASURED["samples"]["seen"], MEASURED["faults"]
    shares = [f"{100 * seen[name]['mean']:.0f}" for name in ("subject", "scene", "movement")]
    looks = [f"{faults[who][name]:.3f}" for name in ("sharpness", "colourfulness") for who in ("samples", "clean")]
    return (
        (seen["clips"], MEASURED["settings"]["prompts"], MEASURED["settings"]["seeds"]) == (180, 45, 4)
        and shares == ["98", "100", "79"]
        and looks == ["0.298", "0.330", "0.245", "0.260"]
        and f"{100 * faults['watermark_share']:.0f}" == "11"
    )


def a_clip_at_full_size_is_as_counted() -> bool:
    [row] = [row for row in stored("count_step")["clips"] if row["name"] == "a clip sampled"]
    floors = [f"{row['cards'][card]['floor']:.1f}" for card in ("T4", "H100")]
    return f"{row['peak_gib']:.1f}" == "4.3" and floors == ["5.5", "0.4"]


def text_encoder_is_as_configured() -> bool:
    config = json.loads((MODELS / "reduced" / "text_encoder" / "config.json").read_text(encoding="utf-8"))
    names = ("num_hidden_layers", "max_position_embeddings", "hidden_size")
    return [config[name] for name in names] == [2, 24, 128]


def reward_is_as_measured() -> bool:
    measured = MEASURED["reward"]
    shares = [measured[name]["mean"] for name in ("quality", "content", "clean_over_web", "caption")]
    return [f"{100 * share:.0f}" for share in shares] == ["87", "96", "93", "94"] and max(shares[2:]) < 0.96


def reward_saw_tens_of_thousands_of_pairs() -> bool:
    """One stage alone, half of whose batch is the first frame of a pair, and of which all steps were choices."""
    record = json.loads((MODELS / "reward" / "training.json").read_text(encoding="utf-8"))
    stage = record["words"]["started_from"]
    pairs = stage["config"]["steps"] * stage["config"]["batch"] // 2
    return bool(pairs > 20_000 and stage["preference_share"] == 1 and reward.ANNOTATORS == 9)


ON_DIFFUSION: dict[str, Callable[[], bool]] = {
    "With two to five steps the orange peaks lie too near to zero. With ten or twenty they are nearly in place but too "
    "narrow": few_steps_displace_and_more_narrow,
    "Only with a hundred or more does the orange shape nearly fill the dashed one": few_steps_displace_and_more_narrow,
    "the caption is ignored, with 1 it is obeyed. Above 1, the right peak gets more than its share (from 3 on, nearly "
    "all numbers), and moves too far out and gets too narrow": guidance_obeys_and_overshoots,
    "With 200 steps it hardly changes the result; with 20 it makes the peaks narrower still": (
        fresh_noise_matters_with_few_steps
    ),
    "the first four steps, which together turn $z_t$ by 8.5 of 83 degrees": early_steps_turn_little,
    "that the model never saw, the three shares are 96 %, 100 % and 78 %": (unseen_combinations_are_as_measured),
    "Over 180 samples, four for each of 45 prompts, a network that judges clips finds the right subject in 98 %, the "
    "right scene in all and the right movement in 79 %": samples_are_as_measured,
    "softer than clean drawings (*sharpness*, the mean of the strongest twentieth of the edges: 0.298 against 0.330) "
    "and paler (*colourfulness*, from spread and mean of the colours, 0 for grey: 0.245 against 0.260), and 11 % have "
    "a clear watermark": samples_are_as_measured,
    "and in four of five clips the movement": samples_are_as_measured,
    "| 11.5 million weights, two sizes |": lambda: f"{millions('reduced/unet'):.1f}" == "11.5",
    "two layers, 24 tokens of width 128": text_encoder_is_as_configured,
    "*counted*: at least 4.3 GiB of GPU memory, and at least 5.5 s on a T4 or 0.4 s on an H100": (
        a_clip_at_full_size_is_as_counted
    ),
}
ON_PREFERENCE: dict[str, Callable[[], bool]] = {
    "| two pictures that differ in their faults | the annotators' taste | 87 % | | two that differ in one fact | the "
    "annotators' taste | 96 % | | a clean and a visibly spoilt picture | the clean one | 93 % | | two captions of one "
    "picture | the right caption | 94 % | In the last two we wanted at least 96 %": reward_is_as_measured,
    "of a clean and a visibly spoilt frame it prefers the clean one in 93 %": reward_is_as_measured,
    "the votes of nine simulated annotators on tens of thousands of drawn pairs": (
        reward_saw_tens_of_thousands_of_pairs
    ),
    "The shipped reward has $E = 128$, so these are 256 numbers": lambda: reward.reward_config(1)["embed_dim"] == 128,
}
CHAPTERS = {"book/01_video_diffusion.ipynb": ON_DIFFUSION, "book/03_human_preference.ipynb": ON_PREFERENCE}


@pytest.mark.parametrize(("chapter", "sentence"), [(name, text) for name, rows in CHAPTERS.items() for text in rows])
def test_a_chapter_says_what_code_and_results_say(chapter: str, sentence: str) -> None:
    wrong = fault(chapter, sentence, CHAPTERS[chapter][sentence])
    assert not wrong, wrong
