"""Rewards by name: what names none is answered with what was expected."""

from __future__ import annotations

import pytest

from ivtutorial.errors import InputError
from ivtutorial.rewards.named import open_named


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hpsv3", "No reward 'hpsv3': did you mean 'hpsv2'"),
        ("", "No reward '': expected reduced, hpsv2, hpsv2.1, pickscore"),
        ("hpsv2:", "No reward 'hpsv2:'"),
        ("hpsv2 + clip", "every term is WEIGHT\\*REWARD"),
        ("hpsv2 - clip", "every term is WEIGHT\\*REWARD"),
        ("math:sqrt", "is not \\(frames, captions\\) -> scores"),
        ("no_such_module_here:score", "Cannot import the reward's module 'no_such_module_here'"),
        ("math:score", "math has no function 'score'"),
        ("0.5*hpsv3", "No reward 'hpsv3'"),
        ("hpsv2:/no/such/file.pt", "No HPSv2 checkpoint at"),
        ("imagereward:/no/such/file.pt", "No ImageReward checkpoint at"),
        ("clip:/no/such/folder", "No folder /no/such/folder"),
    ],
)
def test_what_names_no_reward(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_named(text)
