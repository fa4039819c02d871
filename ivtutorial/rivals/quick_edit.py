"""QuickEdit, our combination: Direct-Align on clips at the step of t = 51, with TAR drawn in place of weighted.

It is not the paper's method. Clip, captions, reward, adapter and what the reward is asked (Eq. 6-8, in expectation) are
InstructVideo's; how the gradient is found is not:

| part                     | InstructVideo (the paper)         | here                                         | from |
|--------------------------|-----------------------------------|----------------------------------------------|------|
| what is rewarded         | the end of a chain, tau * D steps | the clip after one step, its noise taken out | SRPO |
| where the gradient comes | the chain's last step, t = 1      | the step before it, t = 51 (tau = 0.1)       | ours |
| frames                   | S = 4, weighted by TAR (Eq. 7)    | S = 2, drawn in proportion to TAR            | ours |
| calls of the network     | 12 forward, 1 backward            | 1 forward, 1 backward                        | SRPO |
| learning rate            | 1                                 | two fifths, `lr_share`                       | ours |

See :mod:`ivtutorial.rivals.direct_align`, :mod:`ivtutorial.method.gain` and :mod:`ivtutorial.method.segvr`.

A run by this method that gives no learning rate takes two fifths of InstructVideo's by itself, with every preset. That
is for equal numbers of steps; what matters is rate times steps: on the small model 0.02 is good and 0.04 ruinous, where
InstructVideo has its best at 0.05, also with the gradient through t = 51.

With a larger tau the step is drawn among more, up to t = 551, as SRPO does. That was tried first, with tau = 0.6, and
gained far less in a fifth of the cost (`ivtutorial experiment frontier`; `late-step` has today's).
"""

from __future__ import annotations

from dataclasses import dataclass

from ivtutorial.checks import is_whole
from ivtutorial.method.segvr import Selection
from ivtutorial.rivals.direct_align import DirectAlign


@dataclass(frozen=True, kw_only=True)
class QuickEdit(DirectAlign):
    """The settings of our combination; each of them may be changed. See the module for what is the paper's.

    Attributes:
        tau: 0.1, the last two of D = 20 steps, of which the first is taken. With fewer steps the default grows, so that
            it is still the last but one.

    Example:
        >>> from ivtutorial.method import InstructVideo
        >>> QuickEdit().passes(), InstructVideo().passes()
        (6, 28)
    """

    lr_share = 0.4

    tau: float = 0.1
    S: int = 2
    selection: Selection = "attenuated"

    def __post_init__(self) -> None:
        few = (
            is_whole(self.D, 1)
            and is_whole(self.skip_last, 0)
            and self.D * QuickEdit.tau < self.skip_last + 1 <= self.D
        )
        if self.tau == QuickEdit.tau and few:
            object.__setattr__(self, "tau", (self.skip_last + 1) / self.D)
        super().__post_init__()
