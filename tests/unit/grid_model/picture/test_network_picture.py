"""The picture of the grid: what touches what, and what is refused."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from builders import one_area
from cases.ieee68 import load_ieee68
from control.scenario.task_grid import open_task_grid
from grid_model.picture.layout import bus_radius, place_badges
from grid_model.picture.network_picture import NETWORK_FIGSIZE, draw_network
from grid_model.picture.network_symbols import frequency_scale, voltage_scale
from grid_model.picture.placement import placed


@pytest.fixture(scope="module")
def case():
    return load_ieee68()


def test_every_plant_has_a_badge_that_touches_nothing(case):
    """A badge is about half a bus wide, so its own half must fit beside branches, buses and other badges."""
    badges = place_badges(case)
    assert len(badges.kind) == case.n_machine + case.n_renewable + case.n_resource
    radius = bus_radius(case)
    half = 0.55 * radius
    place = np.column_stack([badges.x, badges.y])
    bus = np.column_stack([case.bus.x, case.bus.y])
    assert np.linalg.norm(place[:, None] - bus[None], axis=2).min() > radius + half
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 2.0 * half
    for point in place:
        for a, b in zip(bus[case.branch.from_bus], bus[case.branch.to_bus], strict=True):
            along = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
            assert np.linalg.norm(point - a - along * (b - a)) > half


def test_voltage_colours_cover_the_band_and_whatever_lies_outside(case):
    scale = voltage_scale(case, np.full(68, 1.0))
    assert (scale.low, scale.high) == (0.95, 1.10)
    assert voltage_scale(case, np.linspace(0.9, 1.2, 68)).low == 0.9


def test_frequency_colours_are_as_tight_as_the_deviations():
    scale = frequency_scale(np.array([-0.021, -0.018]))
    assert scale.low == pytest.approx(-21.0)
    assert scale.high == pytest.approx(-18.0)
    flat = frequency_scale(np.zeros(68), min_span_hz=0.002)
    assert (flat.low, flat.high) == (-1.0, 1.0)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_grid_with_outages_and_a_dead_bus_is_drawn(case, tmp_path, suffix):
    vm_pu = np.full(68, 1.02)
    vm_pu[4] = np.nan  # islanded: no voltage
    in_service = np.ones(case.n_branch, dtype=bool)
    in_service[[0, 90]] = False
    running = np.arange(case.n_machine) != 10
    figure = Figure(figsize=NETWORK_FIGSIZE)
    draw_network(
        case,
        figure,
        buses=voltage_scale(case, vm_pu),
        loading_percent=np.linspace(0.0, 120.0, case.n_branch),
        branch_in_service=in_service,
        machine_in_service=running,
        title="outages",
    )
    figure.savefig(tmp_path / f"grid.{suffix}", dpi=50)
    assert (tmp_path / f"grid.{suffix}").stat().st_size > 10_000


def test_values_of_the_wrong_length_are_refused(case):
    with pytest.raises(ValueError, match=r"loading_percent has shape \(3,\), expected \(101,\)"):
        draw_network(case, Figure(), loading_percent=np.zeros(3))


def test_badges_of_a_case_without_plants_of_ours_are_its_machines(case):
    none = np.array([], dtype=np.int64)
    bare = replace(
        case,
        renewable=replace(case.renewable, name=(), kind=(), bus=none, p_max_mw=np.array([]), series=()),
        resource=type(case.resource)(name=(), kind=(), bus=none),
    )
    assert place_badges(bare).kind == ("machine",) * 16


def test_the_legend_has_what_the_grid_has(case):
    """Ties stand there where there are areas to tie, and a grid of one area without colours has no empty row."""
    found = []
    for grid in (case, one_area()):
        figure = Figure(figsize=NETWORK_FIGSIZE)
        draw_network(grid, figure)
        found.append({text.get_text() for legend in figure.legends for text in legend.get_texts()})
    assert "tie between areas" in found[0]
    assert "tie between areas" not in found[1]
    assert found[0] & found[1] >= {"synchronous machine"}


@pytest.mark.parametrize("name", ["ieee68", "case6ww", "case5", "case30"])
def test_names_of_areas_cover_neither_buses_nor_plants_nor_each_other(name):
    """Measured on the page: boxes of the names against circles about everything that is marked."""
    case = placed(open_task_grid(name).case)
    figure = Figure(figsize=NETWORK_FIGSIZE)
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = draw_network(case, figure)
    badges, radius = place_badges(case), bus_radius(case)
    place = np.column_stack([np.r_[case.bus.x, badges.x], np.r_[case.bus.y, badges.y]])
    reach = np.r_[np.full(case.n_bus, radius), np.full(len(badges.x), 0.5 * radius)]
    (left, _), (right, _) = axes.transData.transform([(0.0, 0.0), (1.0, 0.0)])
    at, reach = axes.transData.transform(place), reach * (right - left)
    written = [text for text in axes.texts if text.get_text() in case.area_names]
    assert len(written) == case.n_area
    boxes = [text.get_window_extent(renderer) for text in written]
    for k, box in enumerate(boxes):
        apart = np.maximum(np.maximum([box.x0, box.y0] - at, at - [box.x1, box.y1]), 0.0)
        assert (np.linalg.norm(apart, axis=1) > reach).all()
        assert not any(box.overlaps(other) for other in boxes[:k])


@pytest.mark.parametrize("low_hz", [-0.04231, -0.0231, 0.03947, -1.2347])
def test_numbers_under_a_colour_bar_stand_apart(case, low_hz):
    figure = Figure(figsize=NETWORK_FIGSIZE)
    canvas = FigureCanvasAgg(figure)
    df_hz = np.linspace(low_hz, low_hz + 0.0021, case.n_bus)
    draw_network(case, figure, buses=frequency_scale(df_hz), loading_percent=np.zeros(case.n_branch))
    canvas.draw()
    for bar in figure.axes[1:]:
        low, high = bar.get_xlim()
        boxes = [
            tick.label1.get_window_extent()
            for tick in bar.xaxis.get_major_ticks()
            if low <= tick.get_loc() <= high
        ]
        assert len(boxes) >= 3
        # Half a figure of 9 points at the least.
        assert all(after.x0 - before.x1 > 4.0 for before, after in itertools.pairwise(boxes))
