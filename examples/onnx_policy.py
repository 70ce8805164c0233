"""Runs an exported policy by onnxruntime alone: neither this project nor torch is imported.

python scripts/export_policy.py --model-path checkpoints/best_model.pt --out policy.onnx
python examples/onnx_policy.py policy.onnx
"""

import sys

import numpy as np
import onnxruntime


def main(path, n_env=4, n_step=3):
    """Actions of the last of a few steps on made-up observations, {group: [env, agent, action]}."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # The first axis is the environments'; a memory is zero where an episode begins.
    given = {x.name: np.zeros((n_env, *x.shape[1:]), dtype=np.float32) for x in session.get_inputs()}
    names = [x.name for x in session.get_outputs()]
    for _ in range(n_step):
        found = dict(zip(names, session.run(names, given), strict=True))
        given |= {name.removeprefix("next_"): x for name, x in found.items() if name.startswith("next_")}
    return {name.removeprefix("action_"): x for name, x in found.items() if name.startswith("action_")}


if __name__ == "__main__":
    for group, action in main(sys.argv[1]).items():
        print(group, action.shape, action[0].ravel())
