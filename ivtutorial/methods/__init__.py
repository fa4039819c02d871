"""The fine-tuning methods: each turns a :class:`~ivtutorial.methods.batch.Batch` into a loss to minimise."""

from __future__ import annotations

from ivtutorial.methods.batch import Batch
from ivtutorial.methods.instructvideo import InstructVideo

__all__ = ["Batch", "InstructVideo"]
