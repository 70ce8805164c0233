"""How a run tells its user how far it is: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from marl.config.training import TrainingConfig
from marl.training.run_state import Progress

SECONDS_BETWEEN_LINES = 10.0


def describe(progress: Progress) -> str:
    """Time left, return, held-out return, rms frequency deviation, violations and speed, as one line.

    A narrow terminal cuts its end off, so what people look for comes first.
    """
    left = int(progress.time_left_s)
    parts = [f"{left // 60}:{left % 60:02d} left", f"return {progress.terms['return']:,.0f}"]
    if progress.eval_return is not None:
        parts.append(f"held-out {progress.eval_return:,.0f}")
        if progress.best_return is not None and progress.best_return > progress.eval_return:
            parts[-1] += f" (best {progress.best_return:,.0f})"
    for prefix in ("rms_", "violations"):
        for name in progress.terms:
            if name.startswith(prefix):
                parts.append(f"{name.replace('_', ' ')} {progress.terms[name]:.4g}")
                break
    parts.append(f"{progress.steps_per_s:,.0f} steps/s")
    return ", ".join(parts)


class ProgressReport:
    """Told of every update, it shows the run's progress; used with `with`, so that the bar ends its line.

    The bar is drawn from the first look on, and nothing else is printed while it stands.
    """

    def __init__(self, config: TrainingConfig, *, episodes: float = 0.0) -> None:
        """Begins.

        Args:
            config: of the run.
            episodes: that a resumed run has behind it.
        """
        self._total = config.total_episodes
        self._last = -float("inf")
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm  # only where there is a terminal

            self._bar = tqdm(
                total=self._total,
                initial=min(episodes, self._total),
                bar_format="{percentage:3.0f}% |{bar}| {n:.0f}/{total} episodes{postfix}",
                dynamic_ncols=True,
            )

    def __call__(self, progress: Progress) -> None:
        """Shows it; lines that are not of a terminal come every few seconds, and the last in any case."""
        if self._bar is not None:
            self._bar.n = min(progress.episodes, self._total)
            self._bar.set_postfix_str(describe(progress))
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES or progress.update == progress.n_updates:
            self._last = now
            print(f"{progress.episodes:.0f}/{self._total} episodes: {describe(progress)}", flush=True)

    def close(self) -> None:
        """Ends the bar's line; again, it does no harm."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StartReport:
    """Told of every step of what a run begins with, it shows how far that is; used with `with`."""

    def __init__(self, words: str, n_step: int, done: int = 0, unit: str = "step") -> None:
        """Begins.

        Args:
            words: what is done, such as `imitating linear`.
            n_step: that there will be.
            done: of these, before.
            unit: what a step is called.
        """
        self._words, self._n_step, self._done, self._unit = words, n_step, done, unit
        self._last = time.monotonic()  # what takes less than a line's time has none
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=n_step, initial=done, desc=self._words, unit=unit, leave=False, dynamic_ncols=True
            )

    def __call__(self) -> None:
        """One step more."""
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        elif (now := time.monotonic()) - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            print(f"{self._words}: {self._unit} {self._done:,} of {self._n_step:,}", flush=True)

    def __enter__(self) -> StartReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
