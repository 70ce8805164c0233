"""A request to end a run between two updates: by a signal, or because patience has run out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Why the run is to stop after the present update; None while it is to go on."""

    def __init__(self) -> None:
        self.reason: str | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask the run to stop; a second one ends it at once.

        Raises:
            KeyboardInterrupt: on the second one. Python delivers signals to the main thread alone: elsewhere, and
                for whoever runs several trainings in threads, this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            if self.reason is not None:
                raise KeyboardInterrupt
            self.reason = f"stopped by {signal.Signals(number).name}"

        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
