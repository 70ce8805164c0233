"""Pictures of a comparison: who is drawn where not all can be told apart."""

from control.evaluation.report import few, look


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
