"""A request to end a run between two updates: by a signal, or because patience has run out."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ACKNOWLEDGED = (
    "\n{name}: stopping after this update, then saving; a second one stops at once and saves nothing\n"
)


class StopRequest:
    """Why the run is to stop after the present update; None while it is to go on.

    Attributes:
        reason: in words.
        is_urgent: whether somebody waits for the end: held-out episodes under way are left to the resumed run then.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.is_urgent = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask the run to stop, which is answered on stderr; a second one ends it at once.

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
            name = signal.Signals(number).name
            self.reason, self.is_urgent = f"stopped by {name}", True
            # Straight to the terminal: a stream may be in the middle of a line of its own, and refuses a second writer.
            with suppress(OSError, ValueError):
                os.write(sys.stderr.fileno(), ACKNOWLEDGED.format(name=name).encode("utf-8"))

        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
