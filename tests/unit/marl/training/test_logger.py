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


def resumed_with(path, content: bytes):
    path.write_bytes(content)
    table = MetricsTable(path, resume_after=3)
    table.add(4, 40, {"a": 4.0})
    return path.read_text().splitlines()


def test_a_damaged_byte_costs_a_field_or_a_row_and_never_the_run(tmp_path, capsys):
    """A byte 0x81 is no UTF-8 text."""
    path, whole = tmp_path / "m.csv", b"update,step,a\r\n1,10,1.5\r\n2,20,2.5\r\n3,30,3.5\r\n"
    assert resumed_with(path, whole) == ["update,step,a", "1,10,1.5", "2,20,2.5", "3,30,3.5", "4,40,4"]
    assert not capsys.readouterr().err
    damaged = whole.replace(b"2.5", b"2\x815")
    assert resumed_with(path, damaged) == ["update,step,a", "1,10,1.5", "2,20,", "3,30,3.5", "4,40,4"]
    assert capsys.readouterr().err == f"{path}: 1 damaged rows, in which numbers are missing now\n"
    assert resumed_with(path, whole.replace(b"2,20", b"\x81,20")) == [
        "update,step,a", "1,10,1.5", "3,30,3.5", "4,40,4",
    ]  # fmt: skip
    assert resumed_with(path, whole.replace(b"2.5", b"2,5"))[2] == "3,30,3.5"  # not moved by a column
    assert resumed_with(path, whole.replace(b"step", b"st\x81p")) == ["update,step,a", "4,40,4"]
    assert "m.broken.csv" in capsys.readouterr().err
    assert (tmp_path / "m.broken.csv").read_bytes() == whole.replace(b"step", b"st\x81p")


def test_every_single_damaged_byte_lets_the_run_go_on(tmp_path):
    path, whole = tmp_path / "m.csv", b'update,step,a\r\n1,10,1.5\r\n2,20,2.5\r\n3,30,"'
    for position in range(len(whole)):
        for byte in (0x00, 0x0A, 0x0D, 0x22, 0x2C, 0x81, 0xFF):
            (line, *_) = reversed(
                resumed_with(path, whole[:position] + bytes([byte]) + whole[position + 1 :])
            )
            assert line.startswith("4,40,")
