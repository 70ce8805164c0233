"""What one control interval costs besides its arithmetic: calls from Python into compiled code."""

import sys
from collections import Counter

import numpy as np

from cases.compiler.announcement import kernels
from control.task.open_task import make_task
from grid_model.compilation import PACKAGES

# Handing a kernel its arguments takes 1 to 3 us, as much as one environment's plants; so what belongs together is one.
QUIET_STEP = {
    "begin_interval": 2,  # of the plants and episodes, and of the grid
    "_look": 1,  # who is dark
    "integrate_macro_step": 1,
    "solve_batch": 1,  # the power flow
    "adopt_solution": 1,
    "end_interval": 1,  # measured, judged and sent
    "_enter": 1,  # charged and logged
    "_fill": 1,  # the observations
}


def test_a_quiet_step_is_nine_compiled_calls(monkeypatch):
    """Nothing is switched or shed in the first minute of this episode, and no dispatch begins."""
    task = make_task("normal", 2, seed=3, check=False)
    task.reset()
    action = np.zeros((2, task.case.n_resource))
    for _ in range(
        3
    ):  # whatever is compiled or loaded is so by now: counted kernels cannot be compiled into others
        task.step(action)
    calls = Counter()

    def counted(kernel):
        def call(*arguments):
            calls[kernel.__name__] += 1
            return kernel(*arguments)

        return call

    known = kernels(PACKAGES)
    for name, module in list(sys.modules.items()):
        if name.startswith(("grid_model.", "control.")):
            for attribute, value in list(vars(module).items()):
                if any(value is kernel for kernel in known):
                    monkeypatch.setattr(module, attribute, counted(value))
    for _ in range(4):
        calls.clear()
        task.step(action)
        assert calls == QUIET_STEP
    assert sum(QUIET_STEP.values()) == 9
