"""metrics.csv: columns and values that come later, and rows that are taken back on resume."""

from marl.training.logger import MetricsLogger, MetricsTable


def test_a_new_tag_adds_a_column_to_the_rows_before(tmp_path):
    table = MetricsTable(tmp_path / "m.csv", resume_after=None)
    table.add(1, 10, {"a": 1.0})
    table.add(2, 20, {"a": 2.0, "b": 0.1})
    table.add(3, 30, {"a": 3.0})
    assert (tmp_path / "m.csv").read_text().splitlines() == [
        "update,step,a,b", "1,10,1,", "2,20,2,0.1", "3,30,3,",
    ]  # fmt: skip


def test_resuming_takes_back_the_rows_after_the_checkpoint(tmp_path):
    table = MetricsTable(tmp_path / "m.csv", resume_after=None)
    for update in (1, 2, 3):
        table.add(update, 10 * update, {"a": float(update)})
    with open(tmp_path / "m.csv", "a") as file:
        file.write("4,4")  # the run was killed while it wrote this row
    table = MetricsTable(tmp_path / "m.csv", resume_after=2)
    table.add(3, 30, {"a": 7.0})
    assert (tmp_path / "m.csv").read_text().splitlines() == ["update,step,a", "1,10,1", "2,20,2", "3,30,7"]


def lines(directory):
    return (directory / "metrics.csv").read_text().splitlines()


def test_rows_wait_for_late_values_of_the_first_of_them(tmp_path):
    record = MetricsLogger(tmp_path, tensorboard=False, resume_after=None)
    record.add(1, 10, {"a": 1.0, "late": 5.0})
    record.wait_for(2)
    record.add(2, 20, {"a": 2.0})
    record.add(3, 30, {"a": 3.0})
    assert lines(tmp_path) == ["update,step,a,late", "1,10,1,5"]
    record.complete(2, {"late": 6.0})
    assert lines(tmp_path) == ["update,step,a,late", "1,10,1,5", "2,20,2,6", "3,30,3,"]


def test_late_values_may_come_before_their_row(tmp_path):
    record = MetricsLogger(tmp_path, tensorboard=False, resume_after=None)
    record.wait_for(1)
    record.complete(1, {"late": 6.0})
    record.add(1, 10, {"a": 1.0})
    assert lines(tmp_path) == ["update,step,a,late", "1,10,1,6"]


def test_a_resumed_run_begins_with_the_rows_that_waited_and_has_each_once(tmp_path):
    """The checkpoint was of update 3, when rows 2 and 3 waited; the run went on to write them and was killed then."""
    record = MetricsLogger(tmp_path, tensorboard=False, resume_after=None)
    record.add(1, 10, {"a": 1.0})
    record.wait_for(2)
    record.add(2, 20, {"a": 2.0})
    record.add(3, 30, {"a": 3.0})
    waiting = [dict(row) for row in record.waiting]
    record.complete(2, {"late": 6.0})
    record.add(4, 40, {"a": 4.0})
    resumed = MetricsLogger(tmp_path, tensorboard=False, resume_after=3, waiting=waiting)
    resumed.wait_for(2)
    assert lines(tmp_path) == ["update,step,a,late", "1,10,1,"]
    resumed.complete(2, {"late": 6.0})
    assert lines(tmp_path) == ["update,step,a,late", "1,10,1,", "2,20,2,6", "3,30,3,"]


def test_what_still_waits_at_the_end_is_written_as_it_is(tmp_path):
    record = MetricsLogger(tmp_path, tensorboard=False, resume_after=None)
    record.wait_for(1)
    record.add(1, 10, {"a": 1.0})
    record.close()
    assert lines(tmp_path) == ["update,step,a", "1,10,1"]


def test_tensorboard_receives_the_same_tags(tmp_path):
    record = MetricsLogger(tmp_path, tensorboard=True, resume_after=None)
    record.add(1, 10, {"train/return": -3.0})
    record.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/return")] == [(10, -3.0)]


def test_tensorboard_forgets_what_came_after_the_checkpoint_too(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = MetricsLogger(tmp_path, tensorboard=True, resume_after=None)
    for update in (1, 2, 3):
        first.add(update, 10 * update, {"x": float(update)})
    first.close()
    resumed = MetricsLogger(tmp_path, tensorboard=True, resume_after=2)
    resumed.add(3, 30, {"x": 9.0})
    resumed.close()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("x")
    assert [(e.step, e.value) for e in events] == [(10, 1.0), (20, 2.0), (30, 9.0)]
