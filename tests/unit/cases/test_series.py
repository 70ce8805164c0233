"""The year of load, wind and sun: cleaning, scaling, interpolation and the cache."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cases.series import (
    CACHE_DIRECTORY_VARIABLE,
    Series,
    SeriesDataError,
    clean_load,
    default_cache_directory,
    load_series,
    read_source,
)

NOMINAL_LOAD_MW = 18234.0


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return load_series(cache_directory=tmp_path_factory.mktemp("cache"), progress=False)


def three_samples() -> Series:
    return Series(
        load_mw=np.array([[100.0], [110.0], [100.0]], dtype=np.float32),
        renewable_pu=np.array([[0.0], [0.5], [1.0]], dtype=np.float32),
        renewable_names=("wind_0",),
    )


def test_the_year_has_366_days_of_three_regions_and_fourteen_plants(year: Series) -> None:
    assert year.load_mw.shape == (366 * 288, 3)
    assert year.renewable_pu.shape == (366 * 288, 14)


def test_load_runs_from_0_38_to_1_13_of_nominal_and_0_59_on_average(year: Series) -> None:
    level = year.load_mw.sum(axis=1, dtype=np.float64) / NOMINAL_LOAD_MW
    # Half a unit in the last printed digit of design figures 0.38, 1.13, 0.59 and 1.10.
    assert level.min() == pytest.approx(0.38, abs=0.005)
    assert level.max() == pytest.approx(1.13, abs=0.005)
    assert level.mean() == pytest.approx(0.59, abs=0.005)
    assert np.percentile(level, 99.9) == pytest.approx(1.10, abs=0.005)


def test_wind_and_sun_stay_between_zero_and_capacity(year: Series) -> None:
    assert year.renewable_pu.min() >= 0.0
    assert year.renewable_pu.max() <= 1.0


def test_the_sun_does_not_shine_at_midnight(year: Series) -> None:
    midnight = year.renewable_pu[::288, 6:]
    assert np.all(midnight == 0.0)


def test_delayed_wind_plants_repeat_their_origin_later(year: Series) -> None:
    six_hours, three_hours = 72, 36  # samples of 5 minutes
    np.testing.assert_array_equal(year.renewable_pu[six_hours:, 4], year.renewable_pu[:-six_hours, 2])
    np.testing.assert_array_equal(year.renewable_pu[three_hours:, 5], year.renewable_pu[:-three_hours, 3])


def test_a_spike_of_two_samples_is_removed_and_a_ramp_is_kept() -> None:
    ramp = np.arange(20.0)[:, None]
    spiked = ramp.copy()
    spiked[7:9] += 100.0
    cleaned = clean_load(spiked)
    # Two of five values leave the window at its upper end: the median moves up by two samples' rise at most.
    np.testing.assert_allclose(cleaned[2:-2], ramp[2:-2], atol=2.0)
    np.testing.assert_array_equal(clean_load(ramp), ramp)


def test_starts_avoid_windows_with_a_load_step() -> None:
    load = np.full((20, 1), 100.0, dtype=np.float32)
    load[10:] = 110.0  # a step of 10 % between samples 9 and 10, and back at the turn of the year
    series = Series(
        load_mw=load, renewable_pu=np.zeros((20, 1), dtype=np.float32), renewable_names=("wind_0",)
    )
    allowed = series.starts_without_load_step(3.0, length_min=10.0)
    # Ten minutes from any moment of sample k's five reach into intervals k, k + 1 and k + 2.
    expected = np.ones(20, dtype=np.bool_)
    expected[[7, 8, 9, 17, 18, 19]] = False
    np.testing.assert_array_equal(allowed, expected)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(SeriesDataError, match="no series is called wind_9"):
        three_samples().columns(("wind_9",))


def test_the_cache_returns_what_was_read(tmp_path: Path, year: Series) -> None:
    source = read_source(progress=False)
    np.testing.assert_array_equal(source.load_mw, year.load_mw)
    load_series(cache_directory=tmp_path, progress=False)
    again = load_series(cache_directory=tmp_path, progress=False)
    np.testing.assert_array_equal(source.renewable_pu, again.renewable_pu)
    assert "NREL" in (tmp_path / "RTS_GMLC_NOTICE.md").read_text(encoding="utf-8")


def test_loading_from_the_cache_is_quick(tmp_path: Path) -> None:
    load_series(cache_directory=tmp_path, progress=False)
    best_s = min(_seconds_to_load(tmp_path) for _ in range(5))
    assert best_s < 0.1  # the requirement; about 0.01 s is usual


def _seconds_to_load(directory: Path) -> float:
    start_s = time.perf_counter()
    load_series(cache_directory=directory, progress=False)
    return time.perf_counter() - start_s


def test_a_damaged_cache_is_rebuilt(tmp_path: Path, year: Series) -> None:
    load_series(cache_directory=tmp_path, progress=False)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:1000])
    repaired = load_series(cache_directory=tmp_path, progress=False)
    np.testing.assert_array_equal(repaired.load_mw, year.load_mw)
    assert file.stat().st_size > 1_000_000


def test_a_cache_directory_that_cannot_be_written_costs_time_only(tmp_path: Path, year: Series) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.warns(UserWarning, match="cannot write the cache"):
        series = load_series(cache_directory=blocked / "below", progress=False)
    np.testing.assert_array_equal(series.load_mw, year.load_mw)


def test_the_environment_variable_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_DIRECTORY_VARIABLE, str(tmp_path))
    assert default_cache_directory() == tmp_path


def test_loading_imports_neither_pandas_nor_scipy_once_cached(tmp_path: Path) -> None:
    load_series(cache_directory=tmp_path, progress=False)
    code = (
        "import sys; from pathlib import Path; from cases.series import load_series; "
        f"load_series(cache_directory=Path({str(tmp_path)!r})); "
        "print([m for m in ('pandas', 'scipy', 'tqdm') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert result.stdout.strip() == "[]"
