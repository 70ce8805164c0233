"""How a run tells its user how far it is: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from marl.config.training import TrainingConfig
from marl.training.run_state import Progress

SECONDS_BETWEEN_LINES = 10.0


def describe(progress: Progress) -> str:
    """Return, rms frequency deviation, violations, speed and time left, as one line."""
    parts = [f"return {progress.terms['return']:,.0f}"]
    for prefix in ("rms_", "violations"):
        for name in progress.terms:
            if name.startswith(prefix):
                parts.append(f"{name.replace('_', ' ')} {progress.terms[name]:.4g}")
                break
    if progress.eval_return is not None:
        parts.append(f"held-out {progress.eval_return:,.0f} (best {progress.best_return:,.0f})")
    parts.append(f"{progress.steps_per_s:,.0f} steps/s")
    left = int(progress.time_left_s)
    parts.append(f"{left // 60}:{left % 60:02d} left")
    return ", ".join(parts)


def progress_reporter(config: TrainingConfig) -> Callable[[Progress], None]:
    """What `Trainer` is to call after every update."""
    return _bar(config) if sys.stderr.isatty() else _lines(config)


def _bar(config: TrainingConfig) -> Callable[[Progress], None]:
    from tqdm import tqdm  # only where there is a terminal

    bar = tqdm(
        total=config.total_episodes,
        unit="episode",
        bar_format="{l_bar}{bar}| {n:.0f}/{total} episodes{postfix}",
        dynamic_ncols=True,
    )

    def show(progress: Progress) -> None:
        bar.n = min(progress.episodes, config.total_episodes)
        bar.set_postfix_str(describe(progress))
        if progress.update == progress.n_updates:
            bar.close()

    return show


def _lines(config: TrainingConfig) -> Callable[[Progress], None]:
    last = -float("inf")

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or progress.update == progress.n_updates:
            last = now
            print(
                f"{progress.episodes:.0f}/{config.total_episodes} episodes: {describe(progress)}", flush=True
            )

    return show
