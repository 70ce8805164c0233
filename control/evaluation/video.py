"""A played episode as a video: GIF by Pillow, MP4 by ffmpeg where there is one."""

from __future__ import annotations

import importlib
import importlib.util
import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cases.arrays import FloatArray
from cases.case import Case
from cases.whole_file import replacing, write_bytes
from control.evaluation.rollout import Record
from grid_model.picture.moving_picture import Frame, GridState, MovingPicture

__all__ = ["VideoError", "frames_of", "require_video", "write_video"]

FORMATS = (".gif", ".mp4")
COLORS = 256  # of a GIF


class VideoError(ValueError):
    """This video cannot be made; the message says why."""


def ffmpeg() -> str | None:
    """The program that is installed, or the one that the package imageio-ffmpeg brings; None if there is none."""
    found = shutil.which("ffmpeg")
    if found is None and importlib.util.find_spec("imageio_ffmpeg") is not None:
        brought = importlib.import_module("imageio_ffmpeg")
        try:
            found = str(brought.get_ffmpeg_exe())
        except RuntimeError:  # the package came without the program
            return None
    return found


def require_video(path: Path) -> None:
    """Refuse a video that cannot be made, before anything is played for it.

    Raises:
        VideoError: it is neither GIF nor MP4, or an MP4 where there is no ffmpeg.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise VideoError(f"--video {path} ends in {ending!r}, expected one of {', '.join(FORMATS)}")
    if ending == ".mp4" and ffmpeg() is None:
        raise VideoError(
            f"--video {path}: an MP4 needs ffmpeg, which is not here: install it (Debian: apt install ffmpeg; or pip "
            "install imageio-ffmpeg), or ask for a .gif"
        )


def frames_of(
    case: Case, record: Record, *, range_mw: FloatArray, title: str, n_frame: int | None = None
) -> Iterator[Frame]:
    """Pictures of an episode, spread evenly over it; the last is its end.

    Args:
        case: the grid.
        record: of one episode, with `control.evaluation.episode_page.Frames`.
        range_mw: largest output of each plant around its schedule [MW], [resource].
        title: above every picture.
        n_frame: how many; one each interval if None, and at most as many.
    """
    n = int(record.n_played[0])  # of an episode that was lost less than there are
    asked = n if n_frame is None else min(n_frame, n)
    shown = np.rint(np.linspace(n - 1, 0, asked)).astype(np.int64)[::-1]
    df_hz = record["bus_df_hz"][0]
    picture = MovingPicture(
        case,
        range_mw=range_mw,
        duration_s=record.n_intervals * record.interval_s,
        title=title,
        scale_mhz=1e3 * float(np.nanmax(np.abs(df_hz[:n]))),
    )
    for k in shown.tolist():
        yield picture.frame(
            GridState(
                time_s=(k + 1) * record.interval_s,
                bus_df_hz=df_hz[k],
                loading_percent=record["loading_percent"][0, k],
                branch_in_service=record["branch_on"][0, k] > 0.5,
                machine_in_service=record["machine_on"][0, k] > 0.5,
                plant_mw=record["plant_mw"][0, k],
                charge=record["charge"][0, k],
            )
        )


def write_video(path: Path, frames: Iterator[Frame], *, per_second: int) -> None:
    """Write a video, whole or not at all.

    Args:
        path: `.gif` or `.mp4`.
        frames: pictures of one size, at least one.
        per_second: of them.

    Raises:
        VideoError: see `require_video`; or ffmpeg fails, with its last line.
        OutputError: the file cannot be written.
    """
    require_video(path)
    if path.suffix.lower() == ".gif":
        write_bytes(path, _gif(frames, per_second))
        return
    with replacing(path) as part:
        _mp4(part, frames, per_second)


def _gif(frames: Iterator[Frame], per_second: int) -> bytes:
    from PIL import Image

    # One palette for all: colours that change from picture to picture would flicker. The colour bars of the first have
    # every colour of the others, on few pixels; chosen by coverage, they are in the palette beside many greys.
    first = Image.fromarray(next(frames)).quantize(
        COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    others = (Image.fromarray(frame).quantize(palette=first, dither=Image.Dither.NONE) for frame in frames)
    film = io.BytesIO()
    first.save(
        film, format="GIF", save_all=True, append_images=others, duration=round(1000 / per_second), loop=0
    )
    return film.getvalue()


def _mp4(path: Path, frames: Iterator[Frame], per_second: int) -> None:
    first = next(frames)
    height, width, _ = first.shape
    command = [
        str(ffmpeg()), "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(per_second), "-i", "-",
        "-an", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as coder:
        assert coder.stdin is not None and coder.stderr is not None  # noqa: PT018, as asked for above
        try:
            coder.stdin.write(first.tobytes())
            for frame in frames:
                coder.stdin.write(frame.tobytes())
            coder.stdin.close()
        except BrokenPipeError:  # it has ended early, and says why
            pass
        except BaseException:
            coder.kill()
            raise
        said = coder.stderr.read().decode("utf-8", "replace").strip()
    if coder.returncode != 0:
        raise VideoError(f"ffmpeg failed: {(said.splitlines() or ['without words'])[-1]}")
