"""Tables and pictures of a comparison: what their columns say, and who is drawn where not all can be told apart."""

import numpy as np
import pytest

from control.evaluation.contender import resolve
from control.evaluation.report import NOTE, few, legend_below, look
from control.evaluation.suite_table import COST_OF_MOVEMENT, rows, table_text, tabulate
from grid_model.picture.style import new_figure


def test_five_curves_say_most_and_no_two_look_alike():
    """The best of all, of the policies, of the other laws and of the AGCs, and nobody; in the order of returns."""
    returns = {
        "bound": -1.0, "full_information": -2.0, "mpc": -3.0, "linear": -4.0, "a.pt": -5.0, "b.pt": -6.0,
        "agc_forecast": -7.0, "agc": -8.0, "random": -9.0, "do_nothing": -10.0,
    }  # fmt: skip
    table = {name: {"return_mean": value} for name, value in returns.items()}
    chosen = few(table)
    assert chosen == ("full_information", "mpc", "a.pt", "agc_forecast", "do_nothing")
    assert len({tuple(map(str, look(name, chosen).values())) for name in chosen}) == 5


def test_few_contenders_are_all_drawn():
    table = {name: {"return_mean": value} for name, value in (("linear", -4.0), ("local_pi", -3.0))}
    assert few(table) == ("local_pi", "linear")


def compared(reference: str, n_episode: int = 4) -> dict:
    """A table of two controllers over four episodes, of figures by hand."""
    shape = (n_episode,)
    names = (
        "return", "cost", "mean_square_mhz2", "p95_mhz", "within_36_mhz", "within_200_mhz", "violations", "nadir_mhz",
        "lowest_mhz", "highest_mhz", "soc_end", "return_without_events", "moved_mw_bess", "moved_mw_gas",
        "moved_mw_dr", "reward_frequency", "reward_movement", "reward_effort", "reward_violations", "reward_lost",
    )  # fmt: skip
    contenders = resolve("do_nothing,local_pi", lambda file: None)
    found = {}
    for worth, contender in ((-20.0, contenders[0]), (-10.0, contenders[1])):
        figures = dict.fromkeys(names, np.ones(shape)) | {"return": worth + np.arange(float(n_episode))}
        found[contender.name] = figures | {"cost": np.full(shape, 1234.0)}
    return tabulate({"normal": found}, contenders, {"normal": list(range(n_episode))}, reference)


def column(table: dict, name: str) -> list[str]:
    head, lines = rows(table, "normal")
    return [line[head.index(name)] for line in lines]


def test_only_the_reference_is_called_one():
    """Where it takes no part, nobody is better than anybody by a number."""
    name = "better than reference by (95 %)"
    assert column(compared("do_nothing"), name) == ["+10 (+10 to +10)", "reference"]
    assert column(compared("agc_forecast"), name) == ["-", "-"]


def test_of_a_single_episode_no_interval_is_told():
    """One of no width would pass for certainty, and two episodes for enough to tell neighbours apart."""
    table = compared("do_nothing", 1)
    assert column(table, "95 % interval") == ["-", "-"]
    assert column(table, "better than reference by (95 %)") == ["+10", "reference"]
    assert column(table, "episodes to tell") == ["-", "-"]
    assert column(table, "cost / next better (95 %)") == ["-", "2.00"]
    for line in table_text(table, {"normal": [0]}).splitlines()[3:5]:
        assert " to " not in line


def test_the_cost_of_movement_has_its_name_and_is_explained():
    table = compared("do_nothing")
    assert column(table, "cost of movement [units of return]") == ["1,234", "1,234"]
    shown = table_text(table, {"normal": [0, 1, 2, 3]}).splitlines()
    assert COST_OF_MOVEMENT in shown[2]
    assert shown[-1].startswith(
        f"{COST_OF_MOVEMENT}: the part of minus the return that is charged for moving"
    )
    assert shown[-1].removeprefix("cost of movement") in NOTE


@pytest.mark.parametrize("length", [10, 60, 100])
def test_a_legend_of_long_names_stays_within_its_picture(length):
    figure = new_figure(9.0, 6.0, "names")
    axes = figure.subplots()
    for k in range(9):
        axes.plot([0, 1], [k, k], label="n" * length)
    legend_below(figure, axes)
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert len(legend.get_texts()) == 9
