"""Plays one revision of this project from within: speeds, and fingerprints of what it computes, on demand.

    PYTHONPATH=TREE:TREE/scripts python -P probe.py TREE

Works with the interfaces of older revisions as well. Commands come as lines of JSON on the standard input, {"do": name,
...}, and every one is answered by a line of JSON on the standard output: {"result": ...} or {"error": text}. Whatever
the revision itself prints goes to the standard error.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ACTION_SEED = 5
# Where the parts of the benchmark stand, today and in older revisions.
LEARNER = ("scripts/benchmarks/learner.py", "scripts/learner_floor.py")
SECURITY = ("scripts/benchmarks/security.py", "scripts/contingency_times.py")
DYNAMICS = ("scripts/benchmarks/dynamics.py", "scripts/benchmark_dynamics.py")
SIMULATOR = ("scripts/benchmarks/simulator.py", "scripts/benchmark.py")


def random_actions(batch: Any, n: int = 8) -> list[dict[str, Any]]:
    """Random actions of all agents for `n` steps of a batch, {group: [env, agent, 1]}."""
    rng = np.random.default_rng(0)
    shapes = {g.name: (batch.n_env, g.n_agent, 1) for g in batch.groups}
    return [
        {name: rng.uniform(-1.0, 1.0, shape).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(n)
    ]


def steps_s(batch: Any, actions: list[dict[str, Any]], n_step: int) -> float:
    """Wall time of steps of a batch, resets at the ends of episodes included [s]."""
    began = time.perf_counter()
    for k in range(n_step):
        batch.step(dict(actions[k % len(actions)]))
    return time.perf_counter() - began


def zoo_steps_s(zoo: Any, n_step: int) -> float:
    """Wall time of steps through PettingZoo's dictionaries from the beginning of one episode on [s]."""
    zoo.reset(seed=0)
    rng = np.random.default_rng(0)
    actions = [{a: rng.uniform(-1.0, 1.0, 1).astype(np.float32) for a in zoo.agents} for _ in range(8)]
    began = time.perf_counter()
    for k in range(n_step):
        if not zoo.agents:
            zoo.reset()
        zoo.step(actions[k % 8])
    return time.perf_counter() - began


class Speeds:
    """Figures of one revision by what measures them; what they need is built when it is first asked for."""

    def __init__(self, root: Path, steps: int, episodes: int) -> None:
        """Args:
        root: of the revision; steps: of a batch in a round; episodes: of a training in a round.
        """
        self._root, self._steps, self._episodes = root, steps, episodes
        self._batches: dict[int, tuple[Any, list[dict[str, Any]]]] = {}
        self._zoo: Any = None
        self._modules: dict[tuple[str, ...], Any] = {}
        self._of: dict[str, Callable[[], dict[str, float]]] = {
            "env_steps_per_s_64": lambda: {"env_steps_per_s_64": self._steps_per_s(64, self._steps)},
            "env_steps_per_s_256": lambda: {"env_steps_per_s_256": self._steps_per_s(256, self._steps // 4)},
            "env_steps_per_s_1": lambda: {"env_steps_per_s_1": self._steps_per_s(1, 2 * self._steps)},
            "pettingzoo": self._zoo_steps_per_s,
            "parts": self._parts,
            "learner": self._learner,
            "training": self._training,
            "security": lambda: dict(self._module(SECURITY).contingency_times(repeats=5)),
            "dynamics": lambda: dict(self._module(DYNAMICS).measure(intervals=20)),
            "planning": lambda: dict(beside("planning").measure()),
            "training_s": lambda: {"training_s": beside("whole_training").training_s(self._root)},
            "time_to_agc_s": self._time_to_agc,
        }

    def measure(self, what: str) -> dict[str, float]:
        """Figures of one round by key; none where this revision has no such part."""
        return self._of[what]()

    def _batch(self, n_env: int) -> tuple[Any, list[dict[str, Any]]]:
        """A batch of this size and some random actions."""
        if n_env not in self._batches:
            from marl.environment import make_batch

            batch = make_batch("training", n_env, check=False, stagger=True)
            self._batches[n_env] = batch, random_actions(batch)
        return self._batches[n_env]

    def _steps_per_s(self, n_env: int, steps: int) -> float:
        """Steps a second from the beginning of the same episodes."""
        batch, actions = self._batch(n_env)
        batch.reset(np.arange(n_env))
        return n_env * steps / steps_s(batch, actions, steps)

    def _zoo_steps_per_s(self) -> dict[str, float]:
        if self._zoo is None:
            from marl.environment import parallel_env

            self._zoo = parallel_env(scenario="training", check=False)
        n_step = 2 * self._steps
        return {"pettingzoo_steps_per_s": n_step / zoo_steps_s(self._zoo, n_step)}

    def _parts(self) -> dict[str, float]:
        """Where the time of a step goes, by the revision's own benchmark."""
        batch, _ = self._batch(64)
        batch.reset(np.arange(64))
        return {f"{part}_us": 1e6 * value for part, value in self._module(SIMULATOR).parts_s(batch).items()}

    def _learner(self) -> dict[str, float]:
        """Update and acting, by the revision's own benchmark."""
        learner = self._module(LEARNER)
        return {
            "update_s": float(learner.our_update()),
            "act_64_ms": min(float(learner.our_act()) for _ in range(3)),
        }

    def _training(self) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as directory:
            out = train(self._root, Path(directory), self._episodes, "--eval-every", "0")
            found = json.loads((out / "training_stats.json").read_text(encoding="utf-8"))
        return {"training_steps_per_s": found["steps"] / found["elapsed_s"]}

    def _time_to_agc(self) -> dict[str, float]:
        """Against the revision's own law in its own physics; none where it has no such law."""
        try:
            least = beside("whole_training").bar()
        except ImportError:
            return {}
        passed = beside("whole_training").time_to_s(least, self._root)
        return {"time_to_agc_s": passed} if passed < float("inf") else {}

    def _module(self, places: tuple[str, ...]) -> Any:
        """A file of the revision's scripts, by the first of its names that there is."""
        if places not in self._modules:
            path = next(self._root / name for name in places if (self._root / name).exists())
            spec = importlib.util.spec_from_file_location(f"revision_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # dataclasses look their own module up
            spec.loader.exec_module(module)
            self._modules[places] = module
        return self._modules[places]


def beside(part: str) -> Any:
    """A file beside this one: another revision may have none, and has what the file measures."""
    name = f"{part}_of_probe"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{part}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def train(root: Path, directory: Path, episodes: int, *options: str) -> Path:
    """Trains the revision's default recipe by its own script; the run's directory.

    Raises:
        RuntimeError: the script failed.
    """
    out = directory / "run"
    command = [sys.executable, str(root / "scripts" / "train_mappo.py"), "--total-episodes", str(episodes),
               "--device", "cpu", "--no-tensorboard", "--out", str(out),
               "--checkpoints", str(directory / "checkpoints"), *options]  # fmt: skip
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise RuntimeError(f"train_mappo.py of {root} ended with status {done.returncode}")
    return out


def arrays(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every array of a nested mapping with the name that leads to it, in the order of the names."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from arrays(value[key], f"{name}/{key}")
    elif value is not None:
        yield name, np.ascontiguousarray(value)


def either(thing: Any, *names: str) -> Any:
    """The attribute by the first of its names, newest first, that this revision knows."""
    return next(getattr(thing, name) for name in names if hasattr(thing, name))


def rollout_hashes(
    scenario: str, level: Any, observation: str, n_env: int, steps: int, seed: int = 3
) -> dict[str, str]:
    """SHA-256 of everything that an environment says in a rollout with random actions, by kind.

    Actions go beyond their range, episodes end one after the other, and nothing is rounded: equal hashes are equal to
    the bit. Kinds: observations, state, reward, ends, and every term of the reward and measurement by its name.
    """
    from marl.environment import make_batch

    batch = make_batch(scenario, n_env, seed=seed, observation=observation, level=level, stagger=True)
    rng = np.random.default_rng(ACTION_SEED)
    found: dict[str, Any] = {}

    def take(kind: str, value: Any) -> None:
        for name, array in arrays(value, kind):
            digest = found.setdefault(kind, hashlib.sha256())
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())

    def take_observed(observed: Any) -> None:
        take("observations", observed.observations)
        take("state", observed.state)

    take_observed(batch.reset(np.arange(n_env) + 100))
    for _ in range(steps):
        transition = batch.step(
            {g.name: rng.uniform(-1.2, 1.2, (n_env, g.n_agent, 1)).astype(np.float32) for g in batch.groups}
        )
        take_observed(either(transition, "observation", "observed"))
        take_observed(either(transition, "final_observation", "final"))
        take("reward", transition.reward)
        take("ends", {"terminated": transition.terminated, "truncated": transition.truncated})
        for name, values in transition.terms.items():
            take(f"term {name}", values)
    return {kind: digest.hexdigest() for kind, digest in found.items()}


def weight_hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every tensor of a model file by its name."""
    import torch

    found: dict[str, str] = {}

    def take(value: Any, name: str) -> None:
        if isinstance(value, Mapping):
            for key in value:
                take(value[key], f"{name}/{key}" if name else str(key))
        elif isinstance(value, torch.Tensor):
            array = value.detach().cpu().contiguous().numpy()
            digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
            found[name] = digest.hexdigest()

    take(torch.load(path, map_location="cpu", weights_only=True), "")
    return found


def trained_hashes(root: Path, episodes: int) -> dict[str, str]:
    """Hashes of the weights that a training of the default recipe with seed 0 ends with."""
    with tempfile.TemporaryDirectory() as directory:
        return weight_hashes(train(root, Path(directory), episodes) / "final_model.pt")


def serve(root: Path, commands: Iterator[str], answer: Callable[[dict[str, Any]], None]) -> None:
    """Answers every command until there are no more."""  # noqa: DOC501 - what is raised inside becomes an answer
    speeds: Speeds | None = None
    for line in commands:
        command = json.loads(line)
        do = command.pop("do")
        result: Any
        try:
            if do == "prepare":
                speeds = Speeds(root, **command)
                result = None
            elif do == "measure":
                assert speeds is not None, "prepare comes first"
                result = speeds.measure(command["what"])
            elif do == "rollout":
                result = rollout_hashes(**command)
            elif do == "train":
                result = trained_hashes(root, command["episodes"])
            elif do == "weights":
                result = weight_hashes(Path(command["path"]))
            else:
                raise ValueError(f"no command is called {do!r}")
        except Exception as error:  # the other side decides what an error means
            answer({"error": f"{type(error).__name__}: {error}"})
        else:
            answer({"result": result})


def main() -> None:
    """Answer the commands on standard input for the revision named first; one line of JSON each.

    Raises:
        SystemExit: `marl` is not imported from that revision.
    """
    root = Path(sys.argv[1]).resolve()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the revision prints must not stand between the answers

    import warnings

    import marl

    warnings.simplefilter("ignore")
    if root not in Path(str(marl.__file__)).resolve().parents:
        raise SystemExit(f"probe.py: error: marl comes from {marl.__file__}, expected from {root}")

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=replies, flush=True)

    answer({"result": "ready"})
    serve(root, iter(sys.stdin.readline, ""), answer)


if __name__ == "__main__":
    main()
