"""Held-out episodes, played with a policy as it was when it was handed in: here, or in a process beside the learner.

Both play the same episodes with the same copy of the policy on the CPU, so that what they find agrees bit for bit. In a
process of its own an evaluation costs the learner no time as long as a core is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, Protocol

import torch

from marl.networks.policy import Policy
from marl.protocol import FloatArray, IntArray
from marl.sampling.child_process import HelperProcess, answer, ignore_signals

Content = Mapping[str, Any]  # of a policy


class EvaluationStopped(Exception):
    """The run is to end at once; what was played so far is given up."""


class Judge(Protocol):
    """Plays held-out episodes with a policy; it knows in what, and builds that when first asked."""

    def __call__(self, policy: Policy, seeds: IntArray, /) -> dict[str, FloatArray]:
        """Each term of the episodes of these seeds as [episode], `return` among them, in the seeds' order."""


class Evaluator(Protocol):
    """Plays one policy at a time: `begin`, then `finish`."""

    def begin(self, policy: Content, seeds: IntArray) -> None:
        """Hands in a policy's content (`Policy.content`) and the seeds of the episodes."""

    def is_ready(self, timeout_s: float = 0.0) -> bool:
        """Whether `finish` would return at once; waits for that so long."""

    def finish(self) -> dict[str, FloatArray]:
        """Each term as [episode], in the seeds' order; waits for it."""

    def close(self) -> None:
        """Lets go of the environment, and of the process that has it."""


class EvaluatorHere:
    """In the learner's own process: `begin` plays the episodes."""

    def __init__(self, judge: Judge, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Args: is_stopped: asked before each step whether to give up."""
        self._judge: Judge | None = judge
        self._is_stopped = is_stopped
        self._found: dict[str, FloatArray] | None = None

    def begin(self, policy: Content, seeds: IntArray) -> None:
        """Plays the episodes now.

        Raises:
            EvaluationStopped: the run is to end.
        """
        assert self._judge is not None, "closed"
        player = Policy.from_content(policy)
        act = player.act

        def act_unless_stopped(*observation: Any) -> Any:
            if self._is_stopped():
                raise EvaluationStopped
            return act(*observation)

        setattr(player, "act", act_unless_stopped)  # noqa: B010  of this one policy alone
        self._found = self._judge(player, seeds)

    def is_ready(self, timeout_s: float = 0.0) -> bool:
        """Whether `begin` has played them to their ends."""
        return self._found is not None

    def finish(self) -> dict[str, FloatArray]:
        """What `begin` found."""
        found, self._found = self._found, None
        assert found is not None
        return found

    def close(self) -> None:
        """Lets go of the environment."""
        self._judge = None


def _serve(connection: Connection, judge: Judge) -> None:
    """The process's life."""
    ignore_signals()
    torch.set_num_threads(1)
    here = EvaluatorHere(judge)

    def respond(request: tuple[Content, IntArray]) -> dict[str, FloatArray]:
        policy, seeds = request
        weights = {name: torch.from_numpy(x) for name, x in policy["weights"].items()}
        here.begin({**policy, "weights": weights}, seeds)
        return here.finish()

    answer(connection, respond)


class EvaluatorBeside:
    """In a process of its own, while the learner goes on."""

    def __init__(self, judge: Judge) -> None:
        """Starts the process.

        Raises:
            TypeError: the judge cannot be pickled; the message says what to hand in instead.
        """
        self._process = HelperProcess("the process that evaluates held-out episodes", _serve, judge)
        self._is_busy = False

    def begin(self, policy: Content, seeds: IntArray) -> None:
        """Sends policy and seeds to the process."""
        # As arrays: torch would hand over tensors as shared memory, with a server of its own.
        weights = {name: x.numpy() for name, x in policy["weights"].items()}
        self._process.send(({**policy, "weights": weights}, seeds))
        self._is_busy = True

    def is_ready(self, timeout_s: float = 0.0) -> bool:
        """Whether the process has answered."""
        return self._process.has_answered(timeout_s)

    def finish(self) -> dict[str, FloatArray]:
        """Waits for the process's answer; raises what was raised there."""
        found: dict[str, FloatArray] = self._process.receive()
        self._is_busy = False
        return found

    def close(self) -> None:
        """Ends the process, in the middle of its episodes where nobody has waited for them."""
        if self._is_busy:
            self._process.process.kill()
        self._process.close()
