"""Children end with a parent that is killed: while they compute, and while they wait for work that nobody will send."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cases.processes.ending import end_with_parent, process_pool
from marl.sampling.child_process import HelperProcess, answer

ROOT = Path(__file__).resolve().parents[4]
LONG_S = 120.0  # that a child goes on by itself
AT_MOST_S = 20.0  # for children to be gone: they look every second, on a machine that others use too
POOL = """
import os, sys, time
from cases.processes.ending import process_pool

def compute(place, name):
    open(os.path.join(place, str(os.getpid())), "w").close()
    while name == "busy":
        pass
    time.sleep({long!r} if name == "asleep" else 0.0)

if __name__ == "__main__":
    with process_pool(3, mp_context=__import__("multiprocessing").get_context({how!r})) as pool:
        for name in ("busy", "asleep", "idle"):
            pool.submit(compute, sys.argv[1], name)
            time.sleep(0.3)  # so that the third is forked late, with copies of the pipes of those before
"""
HELPER = """
import os, sys, time
sys.path.insert(0, {here!r})
import test_ending
from marl.sampling.child_process import HelperProcess

if __name__ == "__main__":
    helper = HelperProcess("the helper", test_ending.never_answers, sys.argv[1])
    helper.send(1)
    time.sleep({long!r})
"""


def never_answers(connection, place):
    def respond(message):
        (Path(place) / str(os.getpid())).touch()
        time.sleep(LONG_S)

    answer(connection, respond)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and that nobody has asked for is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of_the_killed(tmp_path: Path, program: str, n: int) -> list[int]:
    """Runs the program until it has so many children at work, kills it, and says who is left after a while."""
    place = tmp_path / "children"
    place.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script), str(place)], env=environment) as parent:
        until = time.monotonic() + 60.0
        while len(found := [int(path.name) for path in place.iterdir()]) < n and time.monotonic() < until:
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)
    assert len(found) == n, "the children never began"
    until = time.monotonic() + AT_MOST_S
    while (left := [pid for pid in found if is_alive(pid)]) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is alive")
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_pools_processes_end_with_a_parent_that_is_killed(tmp_path, how):
    assert children_of_the_killed(tmp_path, POOL.format(long=LONG_S, how=how), 3) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is alive")
def test_a_helper_in_the_middle_of_its_work_ends_with_a_parent_that_is_killed(tmp_path):
    program = HELPER.format(here=str(Path(__file__).parent), long=LONG_S)
    assert children_of_the_killed(tmp_path, program, 1) == []


def test_a_process_that_nobody_started_this_way_is_left_alone():
    end_with_parent()


def test_children_of_a_parent_that_lives_do_their_work():
    with process_pool(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
    helper = HelperProcess("the helper", answers_doubled)
    helper.send(4)
    assert helper.receive() == 8
    helper.close()


def answers_doubled(connection):
    answer(connection, lambda x: 2 * x)
