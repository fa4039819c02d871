"""A model that predicts noise or a velocity of the circle, seen as a flow model: a change of variable, no training.

| circle (ModelScope)             | straight line (flow)                  | change of variable     |
|---------------------------------|---------------------------------------|------------------------|
| z_t = a z + b epsilon           | z_s = (1 - s) z + s epsilon           | z_s = z_t / (a + b)    |
| a^2 + b^2 = 1                   | shares 1 - s and s                    | s = b / (a + b)        |
| network gives epsilon or a e - b z | velocity v = e - x0                | x0, e by `split`       |

The step of DDIM is linear in (x0, e), so a chain over the same noise levels visits the same clips, divided by a + b.
The flow chain keeps the model's own timesteps, and its last step ends where the model's own does: it returns the very
same clip.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.flow import Level, LevelSchedule
from ivtutorial.method.noise import level, split
from ivtutorial.method.schedule import NoiseSchedule, ddim_timesteps
from ivtutorial.models.backbone import Backbone, Predictor
from ivtutorial.system.step_draws import randint_rows


@dataclass(frozen=True)
class StraightSchedule(LevelSchedule):
    """The levels of a table of alphas on the straight line, at the same timesteps.

    Attributes:
        circle: the table.
    """

    circle: NoiseSchedule

    @cached_property
    def config(self) -> Any:  # type: ignore[override]
        """The table's T, and 'flow_prediction'."""
        T = self.circle.config["num_train_timesteps"]
        return MappingProxyType({"prediction_type": "flow_prediction", "num_train_timesteps": T})

    def level(self, t: float | Tensor) -> Level:
        """Shares (a, b) / (a + b); at the end of the chain those of the table, so that the clip is the same."""
        a, b = self._circle_level(t)
        return (a, b) if not isinstance(t, Tensor) and t < 0 else (a / (a + b), b / (a + b))

    def _circle_level(self, t: float | Tensor) -> tuple[Any, Any]:
        return level(self.circle, t.long().flatten(), like=t) if isinstance(t, Tensor) else level(self.circle, t)

    def timesteps(self, D: int) -> tuple[float, ...]:
        """Those of Eq. 3."""
        return ddim_timesteps(D, self.config["num_train_timesteps"])

    def draw_timesteps(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform timesteps 0 .. T - 1."""
        return randint_rows(self.config["num_train_timesteps"], (count,), generator)


class FlowBackbone(Backbone):
    """A `Backbone` whose predictor returns the velocity of the straight line; :func:`as_flow` makes it."""

    def predictor(
        self,
        embeds: Tensor,
        uncond_embeds: Tensor | None = None,
        guidance: float = 1.0,
        batched: bool | None = None,
    ) -> Predictor:
        """A closure (z_s, t) -> v with guidance, see :meth:`ivtutorial.models.backbone.Backbone.predictor`."""
        predict = super().predictor(embeds, uncond_embeds, guidance, batched)
        circle: Any = self.scheduler.circle

        def velocity(z: Tensor, t: Tensor | float) -> Tensor:
            a, b = at = level(circle, t, like=z)
            z_t = (a + b) * z
            x0, e = split(predict(z_t, t), z_t, at, circle.config["prediction_type"])
            return e - x0

        return velocity


def as_flow(backbone: Backbone) -> FlowBackbone:
    """The same model as a flow model; networks are shared, not copied.

    Args:
        backbone: a model with a table of alphas, that predicts noise or velocity.

    Returns:
        A backbone that methods treat like Wan's: its clips, from the same noise, are those of `backbone`.

    Raises:
        InputError: it is a flow model already.

    Example:
        >>> flow = as_flow(open_model("reduced"))  # doctest: +SKIP
    """
    if isinstance(backbone.scheduler, LevelSchedule):
        raise InputError("This model is a flow model already: use it as it is.")
    parts = {field.name: getattr(backbone, field.name) for field in fields(backbone) if field.init}
    return FlowBackbone(**{**parts, "scheduler": StraightSchedule(backbone.scheduler)})
