"""Delay, loss, hold-last-value, noise and bias of telemetry, and independence of the batch."""

from __future__ import annotations

import numpy as np
import pytest

from control.telemetry.scada import (
    FORECAST,
    MAX_DELAY_INTERVALS,
    NEIGHBOUR_FREQUENCY,
    SYSTEM_FREQUENCY,
    Scada,
    ScadaConfig,
)

ONE_OF_EACH = np.array([SYSTEM_FREQUENCY, NEIGHBOUR_FREQUENCY, FORECAST])


def started(config: ScadaConfig, signal_class: np.ndarray, keys: list[int]) -> Scada:
    scada = Scada(config=config, signal_class=signal_class, n_env=len(keys))
    scada.reset(np.arange(len(keys)), np.array(keys), np.zeros((len(keys), len(signal_class))))
    return scada


def send(scada: Scada, value: np.ndarray) -> np.ndarray:
    scada.advance(value)
    return scada.shown.copy()


def history(scada: Scada, n: int) -> np.ndarray:
    """What is shown while every true value counts the intervals, [interval, env, signal]."""
    shape = (scada.n_env, len(scada.signal_class))
    return np.array([send(scada, np.full(shape, float(k))) for k in range(1, n + 1)])


@pytest.mark.parametrize("delay", range(MAX_DELAY_INTERVALS + 1))
def test_a_value_is_shown_after_its_delay(delay: int) -> None:
    shown = history(started(ScadaConfig(delay_intervals=(delay,) * 3), ONE_OF_EACH, [1]), 20)[:, 0, 0]
    np.testing.assert_array_equal(shown, np.maximum(np.arange(1, 21) - delay, 0))


def test_each_class_has_its_own_delay() -> None:
    shown = history(started(ScadaConfig(delay_intervals=(0, 2, 5)), ONE_OF_EACH, [1]), 10)
    np.testing.assert_array_equal(shown[-1, 0], [10.0, 8.0, 5.0])


@pytest.mark.parametrize(("loss", "gap", "mean_gap"), [(0.2, 1.0, 1.25), (0.2, 6.0, 6.0)])
def test_losses_have_their_share_and_their_length(loss: float, gap: float, mean_gap: float) -> None:
    config = ScadaConfig(delay_intervals=(0, 0, 0), packet_loss=loss, mean_gap_intervals=gap)
    n, n_signal = 4000, 60
    shown = history(started(config, np.zeros(n_signal, dtype=np.int64), [11]), n)[:, 0]
    lost = shown != np.arange(1.0, n + 1)[:, None]
    # 240,000 values in gaps of up to 6: at least 8000 gaps, so 1.1 % on their length; four standard errors.
    assert lost.mean() == pytest.approx(loss, rel=0.05)
    n_gap = np.count_nonzero(lost[1:] & ~lost[:-1])
    assert lost.sum() / n_gap == pytest.approx(mean_gap, rel=0.05)


def test_a_lost_value_leaves_the_last_one_standing() -> None:
    config = ScadaConfig(delay_intervals=(1, 1, 1), packet_loss=0.5)
    shown = history(started(config, ONE_OF_EACH, [5]), 200)[:, 0, 0]
    fresh = shown == np.arange(200.0)
    assert 50 < np.count_nonzero(~fresh) < 150
    np.testing.assert_array_equal(shown[1:][~fresh[1:]], shown[:-1][~fresh[1:]])


def test_losses_of_signals_are_independent() -> None:
    config = ScadaConfig(delay_intervals=(0, 0, 0), packet_loss=0.3)
    n = 5000
    lost = (
        history(started(config, np.zeros(8, dtype=np.int64), [3]), n)[:, 0] != np.arange(1.0, n + 1)[:, None]
    )
    correlation = np.corrcoef(lost.T) - np.eye(8)
    assert np.abs(correlation).max() < 4.0 / np.sqrt(n)  # four standard errors


def test_noise_and_bias_have_their_size() -> None:
    config = ScadaConfig(delay_intervals=(0, 0, 0), noise_sd=(0.001, 0.002, 3.0), bias_sd=(0.01, 0.0, 0.0))
    scada = started(config, ONE_OF_EACH, list(range(400)))
    shown = np.array([send(scada, np.zeros((400, 3))) for _ in range(100)])  # [interval, env, signal]
    noise = shown - shown.mean(axis=0)
    # 40,000 values, one degree of freedom in a hundred taken by the mean: 0.5 %; plus 4/sqrt(80,000).
    np.testing.assert_allclose(noise.std(axis=(0, 1)), [0.001, 0.002, 3.0], rtol=0.02)
    bias = shown.mean(axis=0)
    assert bias[:, 0].std() == pytest.approx(0.01, rel=4.0 / np.sqrt(800.0))
    assert np.abs(bias[:, 1]).max() < 0.002 / 10.0 * 4.5  # only the mean of the noise is left


def test_an_environment_sees_the_same_whatever_the_batch() -> None:
    config = ScadaConfig(
        packet_loss=0.3, mean_gap_intervals=3.0, noise_sd=(1.0, 1.0, 1.0), bias_sd=(1.0,) * 3
    )
    keys = [2**62 + 17 * k for k in range(8)]
    together = history(started(config, ONE_OF_EACH, keys), 50)
    for env, key in enumerate(keys):
        alone = history(started(config, ONE_OF_EACH, [key]), 50)
        np.testing.assert_array_equal(alone[:, 0], together[:, env])
    assert len({float(together[-1, env, 0]) for env in range(8)}) == 8


def test_an_episode_that_begins_later_is_not_touched_by_the_one_before() -> None:
    config = ScadaConfig(packet_loss=0.3, noise_sd=(1.0, 1.0, 1.0))
    used = started(config, ONE_OF_EACH, [1, 2])
    history(used, 7)
    used.reset(np.array([1]), np.array([42]), np.zeros((1, 3)))
    fresh = started(config, ONE_OF_EACH, [42])
    np.testing.assert_array_equal(history(used, 20)[:, 1], history(fresh, 20)[:, 0])


def test_a_saved_state_goes_on_to_the_bit() -> None:
    config = ScadaConfig(packet_loss=0.3, mean_gap_intervals=4.0, noise_sd=(1.0, 1.0, 1.0))
    first = started(config, ONE_OF_EACH, [1, 2])
    history(first, 9)
    second = Scada(config=config, signal_class=ONE_OF_EACH, n_env=2)
    second.set_state(first.get_state())
    np.testing.assert_array_equal(history(first, 15), history(second, 15))


def test_wrong_shapes_and_settings_are_refused() -> None:
    scada = started(ScadaConfig(), ONE_OF_EACH, [1])
    with pytest.raises(ValueError, match="shape"):
        scada.advance(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="delay_intervals"):
        ScadaConfig(delay_intervals=(0, 6, 0))
    with pytest.raises(ValueError, match="packet_loss"):
        ScadaConfig(packet_loss=1.0)
    with pytest.raises(ValueError, match="signal class"):
        Scada(config=ScadaConfig(), signal_class=np.array([7]), n_env=1)
