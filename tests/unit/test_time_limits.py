"""Tests that are marked `within` fail when they are late, and leave the clock as they found it."""

import signal
import time
from types import SimpleNamespace

import pytest

from conftest import ends_in_time

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarm")


def limited(seconds):
    mark = pytest.mark.within(seconds=seconds).mark
    return SimpleNamespace(get_closest_marker=lambda name: mark if name == "within" else None)


def test_what_hangs_is_ended_in_one_line():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(pytest.fail.Exception, match=r"not over after 0\.05 s"), ends_in_time(limited(0.05)):
        time.sleep(60.0)  # far longer than anyone would wait
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_is_in_time_passes():
    with ends_in_time(limited(60.0)):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
