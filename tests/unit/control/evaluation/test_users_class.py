"""A fault in a user's own controller is told with file, method and line, whatever its code does."""

import numpy as np
import pytest

from control.evaluation.refusal import ComparisonError
from control.evaluation.rollout import Telling
from control.evaluation.users_class import users_controller

SEEN = np.zeros((2, 3, 15))
MINE = """\
import numpy as np, sys
class Mine:
    def __init__(self):
        {init}
    def reset(self, envs, seeds):
        {reset}
    def act(self, observation):
        {act}
"""


class Environment:
    n_env = 2

    class loop:
        fleet = "plants"


def built(tmp_path, more="", init="pass", reset="pass", act="return np.zeros((2, 3))"):
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(init=init, reset=reset, act=act) + more)
    return users_controller(str(path), "Mine", Environment())


def play(tmp_path, **parts) -> None:
    controller = built(tmp_path, **parts)
    controller.reset(np.arange(2), np.arange(2))
    controller.act(SEEN)


def refusal(tmp_path, **parts) -> str:
    """What is said when the controller is built and plays an interval, without the folder."""
    with pytest.raises(ComparisonError) as caught:
        play(tmp_path, **parts)
    return str(caught.value).removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"act": "return 1 / 0"}, "mine.py: Mine.act raised ZeroDivisionError: division by zero (line 8)"),
        ({"reset": "raise ValueError"}, "mine.py: Mine.reset raised ValueError (line 6)"),
        ({"init": "{}['a']"}, "mine.py: Mine.__init__ raised KeyError: 'a' (line 4)"),
        ({"init": "sys.exit(0)"}, "mine.py: Mine.__init__ raised SystemExit: 0 (line 4)"),
        ({"act": "sys.exit(0)"}, "mine.py: Mine.act raised SystemExit: 0 (line 8)"),
        ({"act": "raise OSError('a\\nb')"}, "mine.py: Mine.act raised OSError: a b (line 8)"),
        # The line is the user's own, not that of the library it calls.
        (
            {"act": "return np.zeros((2, 3)) + np.zeros(5)"},
            "mine.py: Mine.act raised ValueError: operands could not be broadcast together with shapes (2,3) (5,) "
            "(line 8)",
        ),
        ({"act": "return None"}, "mine.py: Mine.act answered with NoneType, "),
        ({"act": "return np.zeros(3)"}, "mine.py: Mine.act answered with shape (3,), "),
        ({"act": "return np.full((2, 3), 'a')"}, "mine.py: Mine.act answered with an array of <U1, "),
        ({"act": "return np.full((2, 3), np.nan)"}, "mine.py: Mine.act answered with nan, "),
        ({"more": "sys.exit(0)"}, "mine.py cannot be run: SystemExit: 0 (line 9)"),
    ],
)
def test_a_fault_is_told_in_one_line_with_where_it_is(tmp_path, parts, said):
    text = refusal(tmp_path, **parts)
    assert "\n" not in text
    if said.endswith(", "):
        said += "expected an array [env, resource] of shape (2, 3) with numbers from -1 to 1"
    assert text == said


def test_what_else_a_controller_has_is_as_it_is(tmp_path):
    assert not isinstance(built(tmp_path), Telling)
    told = built(tmp_path, more="    gain = 2.0\n    def tell(self):\n        return {'mine': np.ones(2)}\n")
    assert isinstance(told, Telling)
    assert told.tell()["mine"].tolist() == [1.0, 1.0]
    assert told.gain == 2.0
    assert getattr(told, "took", None) is None
    took = built(tmp_path, more="    def took(self, action):\n        raise RuntimeError('no')\n")
    with pytest.raises(ComparisonError, match=r"Mine\.took raised RuntimeError: no \(line 10\)"):
        took.took(np.zeros((2, 3)))
