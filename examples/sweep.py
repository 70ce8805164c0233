"""Hyper-parameters by Ray Tune: random search, and trials that fall behind end early (ASHA).

pip install -e ".[ray]"
python examples/sweep.py --trials 16 --episodes 200
python examples/sweep.py --ray auto        # on the cluster of this machine; --out on a disk that its nodes share

The same command goes on after it was stopped or killed: trials that ended are not repeated, those under way go on from
their last checkpoints. L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht, A. Talwalkar, A
system for massively parallel hyperparameter tuning, MLSys 2020 (ASHA).
"""

import argparse
import functools
import os
from dataclasses import replace
from pathlib import Path

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from marl.cluster.connection import connected
from marl.config.presets import recommended

METRIC = "eval_return"
SPACE = {
    "lr_actor": tune.loguniform(1e-4, 3e-3),
    "lr_critic": tune.loguniform(3e-4, 3e-3),
    "noise_correlation": tune.uniform(0.0, 0.8),
    "log_std_init": tune.uniform(-2.0, -0.5),
}


def configuration(point, episodes, steps, n_envs, eval_every):
    """The recommended recipe at a point of the space."""
    base = recommended()
    ppo = {name: point[name] for name in ("lr_actor", "lr_critic", "noise_correlation")}
    buffer = min(base.ppo.buffer_steps, 32 * n_envs)
    ppo |= {"buffer_steps": buffer, "minibatch_steps": min(base.ppo.minibatch_steps, buffer)}
    return replace(
        base,
        total_episodes=episodes,
        episode_steps=steps,
        n_envs=n_envs,
        device="cpu",
        checkpoint_every=eval_every,
        network=replace(base.network, log_std_init=point["log_std_init"]),
        ppo=replace(base.ppo, **ppo),
        evaluation=replace(
            base.evaluation, eval_every=eval_every, eval_process=False, eval_episodes=min(16, 2 * n_envs)
        ),
    )


def trial(point, out, **sizes):
    """One training, from its last checkpoint where there is one; says after each evaluation how good it is."""
    from marl.algorithms.registry import algorithm_named
    from marl.environment.grid_training import make_trainer
    from marl.training.run_directory import holds_run, write_config

    config = configuration(point, **sizes)
    directory = Path(out) / "runs" / tune.get_context().get_trial_id()
    directory.mkdir(parents=True, exist_ok=True)

    def tell(progress):
        if progress.eval_return is not None and progress.update % config.evaluation.eval_every == 0:
            tune.report({METRIC: progress.eval_return, "update": progress.update})

    with make_trainer(
        config,
        algorithm_named(config.algorithm),
        directory,
        resume=holds_run(directory),
        tensorboard=False,
        on_progress=tell,
    ) as trainer:
        write_config(directory, trainer.config, "ieee68")
        result = trainer.run()
    tune.report({METRIC: result.best_return, "update": result.update, "is_over": True})


def main(
    trials=16, episodes=200, steps=500, n_envs=64, eval_every=5, out="runs/sweep", ray="local", at_a_time=0
):
    """Runs what is left of the sweep; its results, the best first."""
    place = Path(out).absolute()
    work = functools.partial(
        trial, out=str(place), episodes=episodes, steps=steps, n_envs=n_envs, eval_every=eval_every
    )
    n_update = configuration(
        dict.fromkeys(SPACE, 0.5), episodes, steps, n_envs, eval_every
    ).n_updates  # of a whole trial
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    with connected(ray):
        if tune.Tuner.can_restore(str(place / "tune")):
            tuner = tune.Tuner.restore(
                str(place / "tune"), trainable=work, resume_unfinished=True, restart_errored=True
            )
        else:
            tuner = tune.Tuner(
                work,
                param_space=SPACE,
                tune_config=tune.TuneConfig(
                    metric=METRIC,
                    mode="max",
                    num_samples=trials,
                    max_concurrent_trials=at_a_time or None,
                    reuse_actors=True,  # a process plays one trial after the other, and starts once
                    search_alg=tune.search.BasicVariantGenerator(random_state=0),
                    scheduler=ASHAScheduler(
                        time_attr="update", max_t=n_update, grace_period=min(2 * eval_every, n_update)
                    ),
                ),
                run_config=tune.RunConfig(name="tune", storage_path=str(place), verbose=0),
            )
        found = tuner.fit()
    rows = [
        {"return": result.metrics[METRIC], "updates": result.metrics["update"], **result.config}
        for result in found
        if result.metrics and METRIC in result.metrics
    ]
    return sorted(rows, key=lambda row: -row["return"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--n-envs", type=int, default=64)
    parser.add_argument("--eval-every", type=int, default=5)
    parser.add_argument("--out", default="runs/sweep")
    parser.add_argument("--ray", default="local")
    parser.add_argument("--at-a-time", type=int, default=0)
    for row in main(**vars(parser.parse_args())):
        print("  ".join(f"{name} {value:,.5g}" for name, value in row.items()))
