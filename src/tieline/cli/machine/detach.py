"""`tieline detach`: what was attached leaves its subnet, and goes on as it was."""

from __future__ import annotations

from tieline.cli.machine.attach import detach

__all__ = ["detach"]
