"""What a start costs: a grid that was checked before needs none of the libraries that author grids."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import pathlib, sys
from grid_model.power_flow import remembered_oracle
remembered_oracle.SHIPPED = pathlib.Path("nowhere")  # as with any grid but the one whose answer comes along
from marl.environment import make_batch
make_batch("training", 4).reset()
heavy = ("pandapower", "pandas", "lightsim2grid", "matplotlib", "gymnasium", "pettingzoo", "scipy.stats", "torch")
print(*(name for name in heavy if name in sys.modules))
"""


def test_a_warm_batch_imports_neither_pandapower_nor_pandas_nor_lightsim2grid(tmp_path):
    """The first start asks pandapower, the second compares with the answer that was kept."""
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=Path(__file__).parents[4],
            env=os.environ
            | {"IEEE68_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[4])},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.split())
    assert "pandapower" in found[0]
    assert found[1] == []


def test_the_optimiser_does_not_import_the_graph_compiler():
    program = (
        "import sys, torch; from marl.algorithms.adam import Adam; p = torch.nn.Parameter(torch.ones(2)); "
        "a = Adam([p]); p.sum().backward(); a.step(); a.zero_grad(); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[4],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
