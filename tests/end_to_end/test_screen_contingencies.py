"""scripts/screen_contingencies.py as a user runs it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

from cases.ieee68 import load_ieee68
from grid_model.network.topology import multigraph

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "screen_contingencies.py"
KEYS = {
    "element", "kind", "from_bus", "to_bus", "verdict", "worst_branch", "worst_loading_percent",
    "vm_min_pu", "vm_min_bus", "lost_load_mw", "lost_generation_mw", "outcome", "rest_solves", "rest_keeps_limits",
    "islanded_load_mw", "islanded_generation_mw",
}  # fmt: skip


@pytest.fixture
def call(capsys, monkeypatch):
    """The script in this process, which spares the imports: exit status, output and errors."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    main = importlib.import_module("screen_contingencies").main

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            status = main(arguments)
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, out, err)

    return called


def test_every_outage_is_in_the_file_and_the_islanding_ones_are_the_bridges(tmp_path, call):
    out, picture, page = tmp_path / "n1.json", tmp_path / "n1.png", tmp_path / "n1.html"
    done = call("--json", str(out), "--plot", str(picture), "--page", str(page), "--top", "5")
    assert done.returncode == 0, done.stderr
    assert "54-53 #1" in page.read_text(encoding="utf-8")
    refused = call("--pairs", "--page", str(page))
    assert refused.returncode == 2
    assert "leave out --pairs" in refused.stderr
    found = json.loads(out.read_text())
    assert all(set(outage) >= KEYS for outage in found["outages"])
    case = load_ieee68()
    names = [*case.branch.name, *case.machine.name, *case.renewable.name, *case.resource.name]
    assert [outage["element"] for outage in found["outages"]] == names
    assert {outage["verdict"] for outage in found["outages"]} == {
        "secure",
        "violated",
        "islanded",
        "diverged",
    }

    graph = multigraph(case)
    number = case.bus.bus_number
    bridges = {
        frozenset((int(number[u]), int(number[v])))
        for u, v in nx.bridges(nx.Graph(graph))
        if graph.number_of_edges(u, v) == 1
    }
    assert {frozenset(ends) for ends in found["bridges"]} == bridges
    islanded = {
        frozenset((o["from_bus"], o["to_bus"])) for o in found["outages"] if o["verdict"] == "islanded"
    }
    assert islanded == bridges
    by_name = {outage["element"]: outage for outage in found["outages"]}
    assert by_name["9-29"]["lost_generation_mw"] == 800.0
    assert by_name["20-19"]["lost_load_mw"] == 680.0
    assert (
        by_name["40-41"]["verdict"] == "diverged"
    )  # the tie without which the published loads find no solution

    # Losing a step-up is losing its machine; G12, G13 and G16 leave the grid without a solution, G11 with low voltages.
    outcome = {"12-36": "islanded_diverged", "11-32": "islanded_violated", "1-54": "islanded_secure"}
    assert {name: by_name[name]["outcome"] for name in outcome} == outcome
    assert [by_name["12-36"][key] for key in ("rest_solves", "rest_keeps_limits")] == [False, None]
    assert by_name["20-19"]["islanded_load_mw"] == 680.0
    assert by_name["G12"]["islanded_generation_mw"] == 0.0  # lost, and not cut off
    assert sum(found["outcomes"].values()) == len(names)
    assert found["emergency_rating"] == "120 % of rate A"
    assert "typical values" in found["reactive_limits"]
    assert {one["element"] for one in found["moved_by_reactive_limits"]} <= set(names)

    ranks = [line.split()[:2] for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [int(rank) for rank, _ in ranks] == [1, 2, 3, 4, 5]
    assert picture.stat().st_size > 50_000
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_dc_screening_takes_the_same_options_and_has_no_voltages(tmp_path, call):
    out = tmp_path / "dc.json"
    done = call("--engine", "dc", "--load_level", "0.6", "--wind", "0.5", "--sun", "0.3", "--json", str(out))
    assert done.returncode == 0, done.stderr
    outages = json.loads(out.read_text())["outages"]
    assert len(outages) == 151
    assert {outage["vm_min_pu"] for outage in outages} == {None}


def test_a_grid_of_ones_own_is_screened_and_drawn_and_what_was_assumed_is_listed(tmp_path, call):
    out, picture = tmp_path / "n1.json", tmp_path / "n1.svg"
    done = call("--case", "case39", "--json", str(out), "--plot", str(picture), "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "assumed: 10 machines have no dynamic data" in done.stdout
    assert "assumed: 46 circuits have no rate B: rate A holds after an outage too" in done.stdout
    assert "assumed: machines give any reactive power" in done.stdout
    assert len(json.loads(out.read_text())["outages"]) == 56
    assert b"<svg" in picture.read_bytes()[:2000]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variant", "ieee"), "--variant"),
        (("--engine", "magic"), "--engine"),
        (("--json", "no_such_directory/out.json"), "its directory does not exist"),
        (("--plot", "grid.gif"), "expected one of .png, .svg, .pdf"),
        (("--wind", "1.5"), "--wind 1.5: expected a share of capacity from 0 to 1"),
        (("--load-level", "-1"), "expected a share of nominal load"),
        (("--emergency-rating-percent", "90"), "expected a share of the normal rating, 100 or more"),
        (("--engine", "dc", "--reactive-limits", "on"), "--engine dc knows no reactive limits"),
        (("--load-level", "1.6"), "no solution before any outage"),
        (("--case", "case39", "--wind", "0.5"), "--wind 0.5: case39 has no such plants in a screening"),
        (("--case", "case39", "--sun", "0.5"), "--sun 0.5: case39 has no such plants in a screening"),
        (("--case", "no_such_grid.json"), "no_such_grid.json: no such file, expected a pandapower net"),
    ],
)
def test_a_mistake_ends_in_one_clear_line(arguments, message, call):
    done = call(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_script_runs_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--engine", "dc", "--top", "3"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "totals:" in done.stdout


def test_the_68_buses_are_screened_alike_by_each_of_their_names(tmp_path, call):
    listed = tmp_path / "outages.txt"
    listed.write_text("G12\n")
    published = call("--outages", str(listed))
    assert "assumed: machines give any reactive power" not in published.stdout
    assert call("--outages", str(listed), "--case", "ieee68").stdout == published.stdout


def test_a_list_of_ones_own_is_screened(tmp_path, call):
    listed, out = tmp_path / "outages.txt", tmp_path / "found.json"
    listed.write_text("18-49 + 46-38\nG12\n")
    done = call("--outages", str(listed), "--json", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["outages"]
    assert [outage["element"] for outage in found] == ["18-49 + 46-38", "G12"]
    assert [outage["kind"] for outage in found] == ["combination", "machine"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--pairs", "--engine", "dc"), "single outages only"),
        (("--pairs", "--plot", "n2.png"), "--plot draws single outages"),
        (("--pairs", "--outages", "list.txt"), "leave one out"),
        (("--outages", "{list}"), "list.txt: line 1: 'G99' is no element"),
        (("--outages", "none.txt"), "none.txt"),
        (("--outages", "{binary}"), "binary is not UTF-8 text (byte 0), expected one outage a line"),
    ],
)
def test_a_list_that_cannot_be_screened_is_refused(tmp_path, call, arguments, words):
    (tmp_path / "list.txt").write_text("G99\n")
    (tmp_path / "binary").write_bytes(b"\xff\x00\x81")
    files = {"{list}": str(tmp_path / "list.txt"), "{binary}": str(tmp_path / "binary")}
    done = call(*(files.get(argument, argument) for argument in arguments))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_emergency_rating_and_reactive_limits_are_the_users(tmp_path, call):
    """Rate B of 120 % against 100: loadings after an outage rise by 1.2; case39's own Q limits move its outages."""
    worst = []
    (tmp_path / "one.txt").write_text("54-53 #1\n")
    for extra in ((), ("--emergency-rating-percent", "100")):
        out = tmp_path / "found.json"
        done = call("--outages", str(tmp_path / "one.txt"), "--json", str(out), *extra)
        assert done.returncode == 0, done.stderr
        worst.append(json.loads(out.read_text())["outages"][0]["worst_loading_percent"])
    assert worst[1] == pytest.approx(1.2 * worst[0], rel=1e-12)
    (tmp_path / "one.txt").write_text("G36\n")
    done = call(
        "--case",
        "case39",
        "--outages",
        str(tmp_path / "one.txt"),
        "--reactive-limits",
        "on",
        "--json",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["reactive_limits"] == "case39, which gives them for 10 of 10 machines"
