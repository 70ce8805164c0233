"""A process beside the learner: what is raised there arrives, a dead one is named, signals to the group end none."""

import os
import signal
from contextlib import closing

import pytest

from marl.sampling.child_process import HelperProcess, WorkerError, answer, ignore_signals


class Unsendable(Exception):
    """Its constructor needs what a copy is not given."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def respond(message: object) -> object:
    """Doubles numbers; words are what it is to fail by."""
    if message == "value":
        raise ValueError("no such number")
    if message == "unsendable":
        raise Unsendable(1, 2)
    if message == "die":
        os._exit(3)
    return 2 * message


def double(connection) -> None:
    ignore_signals()
    answer(connection, respond)


def test_messages_are_answered_in_turn():
    with closing(HelperProcess("the helper", double)) as helper:
        assert not helper.has_answered()
        helper.send(2)
        assert helper.receive() == 4
        helper.send(8)
        assert helper.has_answered(timeout_s=30.0)
        assert helper.receive() == 16


def test_an_exception_arrives_with_its_traceback_and_the_process_goes_on():
    with closing(HelperProcess("the helper", double)) as helper:
        helper.send("value")
        with pytest.raises(ValueError, match="no such number") as caught:
            helper.receive()
        assert "in respond" in caught.value.__notes__[0]
        helper.send(1)
        assert helper.receive() == 2


def test_an_exception_that_cannot_be_sent_arrives_in_words():
    with closing(HelperProcess("the helper", double)) as helper:
        helper.send("unsendable")
        with pytest.raises(WorkerError, match="Unsendable in a worker"):
            helper.receive()


def test_a_process_that_dies_is_named_with_its_exit_status():
    with closing(HelperProcess("the helper", double)) as helper:
        helper.send("die")
        with pytest.raises(WorkerError, match="the helper died with exit status 3"):
            helper.receive()


def test_what_cannot_be_sent_is_refused_before_anything_begins():
    with pytest.raises(TypeError, match="the helper cannot be sent what it is to run"):
        HelperProcess("the helper", lambda connection: None)


def test_a_process_outlives_a_signal_to_the_whole_group():
    with closing(HelperProcess("the helper", double)) as helper:
        helper.send(1)
        assert helper.receive() == 2
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(helper.process.pid, number)
        helper.send(3)
        assert helper.receive() == 6
