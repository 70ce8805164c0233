"""The bank of filters on a grid of one mass that is simulated here: disturbance, slope and machines in service."""

from dataclasses import replace

import numpy as np
import pytest

from builders import described
from control.controllers.disturbance_filter import SHARES, DisturbanceFilter, FilterConfig, kalman_gain
from control.controllers.one_mass import one_mass


@pytest.fixture(scope="module")
def model():
    """Without governors, which have a test of their own."""
    model = one_mass(described())
    return replace(model, governor=replace(model.governor, dead_band_hz=10.0))


def played(model, share, d_mw, plants_mw, n_sub=40):
    """Frequencies at the intervals' ends by Euler's method in small steps: M df/dt = P + d - D f."""
    f, found = 0.0, [0.0]
    h = model.interval_s / n_sub
    for k in range(len(d_mw) - 1):
        for i in range(n_sub):
            at = (i + 0.5) / n_sub
            power = sum(x[k] + at * (x[k + 1] - x[k]) for x in (d_mw, plants_mw))
            f += h * (power - model.damping_mw_per_hz * f) / (share * model.inertia_mws_per_hz)
        found.append(f)
    return np.array(found)


def noise(n, seed):
    """A disturbance that wanders by 4 MW an interval, and plants that answer it and move besides.

    They answer two intervals late: nobody who only reads frequency knows it earlier, as its last change is not known
    from the mean over an interval. Plants that knew more would hide it, and the grid would seem heavier than it is.
    """
    rng = np.random.default_rng(seed)
    d_mw = np.cumsum(rng.normal(0.0, 4.0, n))
    plants_mw = -np.concatenate([[0.0, 0.0], d_mw[:-2]]) + rng.normal(0.0, 3.0, n)
    return d_mw - d_mw[0], plants_mw - plants_mw[0]


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_the_share_of_machines_in_service_is_found(model, share):
    """After 300 intervals within a step of the grid of shares, a factor of 1.2, in each of eight episodes."""
    frequencies, plants = [], []
    for seed in range(8):
        d_mw, plants_mw = noise(300, seed)
        frequencies.append(played(model, share, d_mw, plants_mw))
        plants.append(plants_mw)
    bank = DisturbanceFilter(model, 8, FilterConfig())
    for df_hz, plants_mw in zip(np.array(frequencies).T, np.array(plants).T, strict=True):
        bank.observe(df_hz, plants_mw, np.zeros(8))
    found = np.array(SHARES)[bank.likeliest]
    assert np.all(np.abs(np.log(found / share)) < np.log(1.3))
    np.testing.assert_allclose(bank.weight.sum(axis=1), 1.0, rtol=1e-12)


def test_a_disturbance_is_found_better_than_its_mean_over_the_last_interval_says(model):
    """It wanders by q an interval, in straight lines: taking its mean over the last one for it leaves q/2.

    Frequency read exactly would tell all in the end; of a grid whose mass is known to a step of a fifth it tells most.
    """
    share, q = 0.45, 4.0
    bank = DisturbanceFilter(model, 1, replace(FilterConfig(), slope_sd_mw_per_s=1e-6, disturbance_sd_mw=q))
    d_mw, plants_mw = noise(1500, 5)
    df_hz = played(model, share, d_mw, plants_mw)
    misses = []
    for k in range(1500):
        bank.observe(df_hz[k : k + 1], plants_mw[k : k + 1], np.zeros(1))
        misses.append(bank.estimate()[1][0] - d_mw[k])
    assert np.std(misses[300:]) < 0.25 * q
    assert abs(np.mean(misses[300:])) < 0.05 * q


def test_what_is_known_of_a_change_leaves_nothing_to_find(model):
    """Told every change, the filter's disturbance is the one that is played, to what its integration leaves.

    It takes the mean of an interval's two frequencies for the mean over it, which power that moves by 15 MW puts wrong
    by 15 h / 12 M, 0.8 mHz: with a damping of 179 MW/Hz by 0.14 MW, of which the disturbance takes over half as much
    again, and the next one with the other sign.
    """
    bank = DisturbanceFilter(model, 1, FilterConfig())
    d_mw, plants_mw = noise(200, 6)
    df_hz = played(model, 1.0, d_mw, plants_mw)
    change_mw = np.diff(d_mw, prepend=0.0)
    whole = SHARES.index(1.0)
    for k in range(200):
        bank.observe(df_hz[k : k + 1], plants_mw[k : k + 1], change_mw[k : k + 1])
        assert bank._estimate[0, whole, 1] == pytest.approx(d_mw[k], abs=0.4)


def test_a_lasting_slope_is_taken_for_one(model):
    """0.2 MW/s for ten minutes, where disturbances do not wander otherwise: within a third, as slopes are to fade."""
    d_mw = -0.2 * 4.0 * np.arange(150)
    plants_mw = -np.concatenate([[0.0], d_mw[:-1]])
    df_hz = played(model, 1.0, d_mw, plants_mw)
    bank = DisturbanceFilter(model, 1, replace(FilterConfig(), disturbance_sd_mw=0.2))
    for k in range(150):
        bank.observe(df_hz[k : k + 1], plants_mw[k : k + 1], np.zeros(1))
    f_hz, found_mw, slope, _ = bank.estimate()
    assert f_hz[0] == pytest.approx(df_hz[-1], abs=1e-4)
    assert found_mw[0] == pytest.approx(d_mw[-1], abs=2.0)
    assert slope[0] == pytest.approx(-0.2, rel=0.34)


def test_a_slope_that_nothing_confirms_fades(model):
    """After an interval with a gain of next to nothing it is e^-h/T of what it was, each environment with its own T."""
    deaf = replace(FilterConfig(), frequency_sd_hz=1e3)
    config = [replace(deaf, slope_fades_s=fades_s) for fades_s in (20.0, 60.0)]
    bank = DisturbanceFilter(model, 2, config)
    bank.observe(np.zeros(2), np.zeros(2), np.zeros(2))
    bank._estimate[:, :, 2] = 0.5
    bank.observe(np.zeros(2), np.zeros(2), np.zeros(2))
    expected = 0.5 * np.exp(-model.interval_s / np.array([20.0, 60.0]))
    np.testing.assert_allclose(
        bank._estimate[:, :, 2], np.repeat(expected[:, None], len(SHARES), 1), rtol=1e-6
    )


def test_governors_are_known_inputs():
    """A lasting loss of 300 MW takes frequency out of the dead band; what governors give is not taken for the loss.

    In the steady state -300 = D f + K (f + b), here with the published D, K and b, and reheaters give K (f + b) each.
    """
    model = one_mass(described())
    k, b, damping = model.governor.gain_mw_per_hz, model.governor.dead_band_hz, model.damping_mw_per_hz
    f_hz = -(300.0 + k * b) / (k + damping)
    bank = DisturbanceFilter(model, 1, FilterConfig())
    for t in range(200):
        bank.observe(np.array([f_hz * (1.0 - np.exp(-t / 5.0))]), np.zeros(1), np.zeros(1))
    whole = SHARES.index(1.0)
    assert bank._reheat_mw[0, whole] == pytest.approx(-k * (f_hz + b), rel=1e-3)
    assert bank._estimate[0, whole, 1] == pytest.approx(-300.0, abs=1.0)


def test_a_new_episode_begins_without_what_was_seen(model):
    bank = DisturbanceFilter(model, 2, FilterConfig())
    for f in (0.0, -0.004, -0.009):
        bank.observe(np.full(2, f), np.full(2, 5.0), np.zeros(2))
    assert bank.estimate()[1][0] < -1.0
    bank.reset(np.array([0]))
    bank.observe(np.full(2, -0.012), np.full(2, 5.0), np.zeros(2))
    f_hz, d_mw, slope, _ = bank.estimate()
    assert (f_hz[0], d_mw[0], slope[0]) == (pytest.approx(-0.012), 0.0, 0.0)
    assert d_mw[1] < -1.0
    np.testing.assert_allclose(bank.weight[0], 1.0 / len(SHARES))


def test_with_exact_readings_the_filter_believes_them(model):
    """Where frequency is measured without error, what it says of itself is taken over whole: the first gain is one."""
    exact = replace(FilterConfig(), frequency_sd_hz=1e-9)
    assert kalman_gain(model, exact)[0] == pytest.approx(1.0, abs=1e-6)
    # The heavier the grid, the more megawatts stand behind a hertz.
    heavy = replace(model, inertia_mws_per_hz=2.0 * model.inertia_mws_per_hz)
    assert kalman_gain(heavy, exact)[1] > 1.5 * kalman_gain(model, exact)[1]
