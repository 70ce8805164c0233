"""Episodes as videos and environments that render arrays: one drawing, that follows the state."""

import io
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import evaluate
from cases.ieee68 import load_ieee68
from control.evaluation import video
from control.evaluation.video import VideoError, require_video, write_video
from control.scenario.suites import SCENARIOS
from grid_model.picture.moving_picture import GridState, MovingPicture
from marl.environment.gymnasium_env import joint_env
from marl.environment.pettingzoo_env import parallel_env

SHORT = replace(SCENARIOS["normal"], name="short", n_intervals=6)


@pytest.fixture(scope="module")
def case():
    return load_ieee68()


def state(case, time_s=4.0, df_hz=0.0, **changed):
    """The grid at one frequency, with nothing else going on."""
    still = GridState(
        time_s=time_s,
        bus_df_hz=np.full(case.n_bus, df_hz),
        loading_percent=np.full(case.n_branch, 20.0),
        branch_in_service=np.ones(case.n_branch, dtype=bool),
        machine_in_service=np.ones(case.n_machine, dtype=bool),
        plant_mw=np.zeros(case.n_resource),
        charge=np.full(5, 0.5),
    )
    return replace(still, **changed)


def picture_of(case):
    return MovingPicture(case, range_mw=np.full(case.n_resource, 50.0), duration_s=100.0, title="t")


def at_bus(picture, frame, bus):
    """Colour of a bus beside its number, by the place that the axes give it."""
    axes, case = picture._drawing.axes, picture._drawing.case
    x, y = axes.transData.transform((case.bus.x[bus] + 0.8 * picture._drawing.radius, case.bus.y[bus]))
    return frame[frame.shape[0] - 1 - round(y), round(x)].astype(int)


def test_colours_follow_the_state(case):
    """Viridis, as its authors tabulate it: (68, 1, 84) at the low end, (33, 145, 140) in the middle, (253, 231, 37)."""
    picture = picture_of(case)
    assert picture.scale_mhz == 200.0
    for k, (df_hz, expected) in enumerate(
        ((-0.2, (68, 1, 84)), (0.0, (33, 145, 140)), (0.2, (253, 231, 37)))
    ):
        frame = picture.frame(state(case, time_s=4.0 * (k + 1), df_hz=df_hz))
        # One step of the table of 256 colours.
        np.testing.assert_allclose(at_bus(picture, frame, 16), expected, atol=3)
    dead = np.zeros(case.n_bus)
    dead[16] = np.nan
    frame = picture.frame(state(case, time_s=20.0, bus_df_hz=dead))
    np.testing.assert_array_equal(at_bus(picture, frame, 16), (0xBB, 0xBB, 0xBB))


def test_every_part_of_the_state_changes_the_picture(case):
    out = np.ones(case.n_branch, dtype=bool)
    out[10] = False
    lost = np.ones(case.n_machine, dtype=bool)
    lost[5] = False
    plain = picture_of(case).frame(state(case))
    assert np.array_equal(plain, picture_of(case).frame(state(case)))
    for changed in (
        {"loading_percent": np.full(case.n_branch, 90.0)},
        {"branch_in_service": out},
        {"machine_in_service": lost},
        {"plant_mw": np.full(case.n_resource, 40.0)},
        {"charge": np.full(5, 0.9)},
        {"time_s": 8.0},
    ):
        assert not np.array_equal(plain, picture_of(case).frame(state(case, **changed))), changed


def test_the_scale_reaches_as_far_as_any_bus(case):
    """By doubling: 450 mHz lies beyond 200 and 400, not beyond 800."""
    picture = picture_of(case)
    picture.frame(state(case, df_hz=-0.45))
    assert picture.scale_mhz == 800.0


def test_a_frame_is_drawn_in_a_tenth_of_a_second(case):
    """By the processor's time, which neighbours disturb less; 30 ms measured, drawn anew it would be 600 ms."""
    picture, taken_s = picture_of(case), []
    for k in range(7):
        began_s = time.process_time()
        picture.frame(state(case, time_s=4.0 * k, df_hz=0.01 * k))
        taken_s.append(time.process_time() - began_s)
    assert np.median(taken_s) < 0.1


def test_an_environment_renders_an_array_that_changes():
    parallel = parallel_env(SHORT, check=False, render_mode="rgb_array")
    with pytest.raises(RuntimeError, match="call reset first"):
        parallel.render()
    parallel.reset(seed=3)
    first = parallel.render()
    assert first.shape == (780, 1200, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(parallel.render(), first)
    parallel.step({agent: np.ones(1, np.float32) for agent in parallel.agents})
    assert not np.array_equal(parallel.render(), first)
    parallel.reset(seed=3)
    assert np.array_equal(parallel.render(), first)  # the trace begins anew

    joint = joint_env(SHORT, check=False, render_mode="rgb_array")
    joint.reset(seed=3)
    assert np.array_equal(joint.render(), first)
    with pytest.raises(ValueError, match="physics 'reduced' has not"):
        parallel_env(SHORT, render_mode="rgb_array", physics="reduced")


def test_a_film_has_the_frames_asked_for(tmp_path, capsys):
    path, scenario = tmp_path / "film.gif", tmp_path / "short.toml"
    scenario.write_text('base = "normal"\nname = "short"\nn_intervals = 9\n')
    arguments = ["--policies", "do_nothing", "--scenario", str(scenario), "--video", str(path)]
    assert evaluate.main([*arguments, "--frames", "5", "--fps", "10"]) == 0, capsys.readouterr().err
    with Image.open(path) as film:
        assert (film.format, film.n_frames, film.size) == ("GIF", 5, (1200, 780))
        assert film.info["duration"] == 100  # ms, at ten a second
    assert evaluate.main([*arguments[:-1], str(path), "--policies", "do_nothing,agc"]) == 2
    assert "films one controller" in capsys.readouterr().err


def test_without_ffmpeg_an_mp4_is_refused_in_one_line_before_anything_is_played(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(video, "ffmpeg", lambda: None)
    monkeypatch.setitem(sys.modules, "marl.environment.batch", None)  # nothing can be played
    path = tmp_path / "film.mp4"
    assert evaluate.main(["--policies", "do_nothing", "--video", str(path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "needs ffmpeg" in line
    assert not path.exists()
    with pytest.raises(VideoError, match="expected one of .gif, .mp4"):
        require_video(tmp_path / "film.avi")


def test_a_gif_keeps_colours_that_its_first_picture_has_only_in_the_scale(case, tmp_path):
    picture, path = picture_of(case), tmp_path / "film.gif"
    frames = [
        picture.frame(state(case, time_s=4.0 * k, df_hz=df_hz)) for k, df_hz in enumerate((0.0, -0.2, 0.2))
    ]
    write_video(path, iter(frames), per_second=10)
    with Image.open(path) as film:
        for k, frame in enumerate(frames):
            film.seek(k)
            shown = np.asarray(film.convert("RGB"))
            # 256 colours for two scales and all greys: some twenty to a scale, whose steps are a twentieth of 255.
            np.testing.assert_allclose(at_bus(picture, shown, 16), at_bus(picture, frame, 16), atol=20)


@pytest.mark.skipif(video.ffmpeg() is None, reason="no ffmpeg, as a program or by imageio-ffmpeg")
def test_an_mp4_is_written_whole(tmp_path):
    """An MP4 begins with its `ftyp` box, ISO/IEC 14496-12."""
    path = tmp_path / "film.mp4"
    frames = (np.full((78, 120, 3), 40 * k, dtype=np.uint8) for k in range(4))
    write_video(path, frames, per_second=10)
    assert io.BytesIO(path.read_bytes()).read(8)[4:] == b"ftyp"
    assert [found.name for found in tmp_path.iterdir()] == ["film.mp4"]
