"""Numbers of eight environments side by side, as rows of environments: numpy's transpose says what they are."""

import numpy as np
import pytest

from grid_model.reduced.lanes import rows_of_lanes, write_columns


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    "n_column", [3, 16, 20, 35]
)  # less than a line of the cache, whole lines, and parts of one
def test_columns_are_written_for_eight_environments_and_no_others(kind, n_column):
    rows = rows_of_lanes(n_column + 2, kind)
    rows[:] = np.arange(rows.size).reshape(rows.shape)
    array = np.full((24, n_column), -1, dtype=kind)
    write_columns(array, 8, rows, 2)
    assert np.array_equal(array[8:16], rows[2:].T)
    assert (array[:8] == -1).all()
    assert (array[16:] == -1).all()


def test_a_row_lies_in_one_line_of_the_cache():
    for kind in (np.float32, np.float64):
        assert rows_of_lanes(5, kind).ctypes.data % 64 == 0
