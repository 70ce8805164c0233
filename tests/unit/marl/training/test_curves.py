"""training_curves.png from metrics.csv."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from marl.training import curves

HEADER = "update,step,train/return,grid/rms_df_mhz,grid/reward_frequency,train/kl,eval/return\n"


def test_an_empty_field_is_a_missing_value(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        HEADER + "1,2048,-9000,30,-8000,0.01,\n2,4096,-8000,28,-7000,0.01,-7500\n"
    )
    metrics = curves.read_metrics(tmp_path / "metrics.csv")
    np.testing.assert_array_equal(metrics["step"], [2048.0, 4096.0])
    np.testing.assert_array_equal(metrics["eval/return"], [np.nan, -7500.0])


@pytest.mark.parametrize("n_rows", [0, 1, 60])
def test_curves_of_a_run_of_any_length_are_drawn(tmp_path, n_rows):
    rows = [
        f"{k},{2048 * k},{-9000 + 50 * k},30,-8000,0.01,{-9000 if k % 5 == 0 else ''}\n"
        for k in range(n_rows)
    ]
    (tmp_path / "metrics.csv").write_text(HEADER + "".join(rows))
    path = curves.draw_training_curves(tmp_path)
    assert path == tmp_path / "training_curves.png"
    assert path.stat().st_size > 10_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "training_curves.png"]


@pytest.mark.parametrize("lowest", [0.5, 0.1, 1e-3, 1e-7])
def test_numbers_of_a_logarithmic_axis_stand_apart(lowest):
    figure, axes = plt.subplots(figsize=(3.5, 3.0))
    axes.plot([0.0, 1.0], [lowest, 1.0])
    curves._scale(axes, "log", 1.0)
    figure.canvas.draw()
    boxes = [tick.label1.get_window_extent() for tick in axes.yaxis.get_major_ticks()]
    low, high = axes.bbox.y0, axes.bbox.y1
    shown = sorted((box for box in boxes if low <= 0.5 * (box.y0 + box.y1) <= high), key=lambda box: box.y0)
    plt.close(figure)
    assert len(shown) >= 2
    assert all(below.y1 < above.y0 for below, above in itertools.pairwise(shown))


@pytest.mark.parametrize("scale", ["symlog", "log"])
@pytest.mark.parametrize(
    "returns", [(-517.7, -517.7), (-540.0, -518.0), (-3900.0, -3100.0), (-1371.0, -8714.0)]
)
def test_an_axis_has_numbers_wherever_its_curve_lies(scale, returns):
    """Those of a run of two updates lie between two round numbers of a logarithmic scale."""
    figure, axes = plt.subplots()
    axes.plot([0.0, 1.0], np.abs(returns) if scale == "log" else returns)
    curves._scale(axes, scale, 1000.0)
    low, high = axes.get_ylim()
    shown = [at for at in axes.yaxis.get_majorticklocs() if low < at < high]
    assert len({axes.yaxis.get_major_formatter()(at, 0) for at in shown}) >= 2
    plt.close(figure)


METRICS = "update,step,train/return,train/kl\r\n1,2048,-9000,0.01\r\n2,4096,-8000,0.02\r\n"


@pytest.mark.parametrize(
    "cut", ["3,6144,-7000,1e-", "3,6144,-7000,1e-\r\n", "3,6144,-70", "3,6144,-7000,0.0", "3"]
)
def test_a_row_that_a_killed_run_left_cut_off_is_left_out_of_its_curves(tmp_path, capsys, cut):
    """Also where what is left of a number is a number: 0.0 of 0.03."""
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS + cut, newline="")
    metrics = curves.read_metrics(path)
    assert {name: x.tolist() for name, x in metrics.items()} == {
        "update": [1.0, 2.0],
        "step": [2048.0, 4096.0],
        "train/return": [-9000.0, -8000.0],
        "train/kl": [0.01, 0.02],
    }
    assert capsys.readouterr().err == f"{path}: the last row is cut off and left out\n"
