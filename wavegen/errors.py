"""The one error that a user's mistake becomes: what came, what is wanted, what to do."""

from __future__ import annotations


class WavegenError(Exception):
    """A mistake that the user can mend; the command line prints it and exits with 1.

    `came` says what was met, `wanted` what would have been right, `do` the next step.
    Only `came` is required; the three are shown on lines of their own.
    """

    def __init__(self, came: str, wanted: str = "", do: str = "") -> None:
        self.came, self.wanted, self.do = came, wanted, do
        lines = [came]
        if wanted:
            lines.append(f"  wanted: {wanted}")
        if do:
            lines.append(f"  to do:  {do}")
        super().__init__("\n".join(lines))


class BackendError(WavegenError):
    """A sampling backend or precision that was asked for by name cannot run on this machine."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason,
            do="leave --backend and --precision out, or see `wavegen doctor` for what works here",
        )
