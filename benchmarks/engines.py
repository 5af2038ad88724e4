"""The engines whose refits are timed: this package's, the textbook model's, and the peers'."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from bayes_msc.datasets import load_trial
from bayes_msc.model import Model
from bayes_msc.sampler import Sampler, Settings
from bayes_msc.trial import Trial
from benchmarks.agreement import NEAREST, PARAMETERS, SAME, Bounds
from benchmarks.measures import Measure
from benchmarks.peer import SCRIPTS, Ask, Peer, PeerError, Refit, exchange, r_command, r_version
from benchmarks.textbook import Textbook

CARD = "crossover-negative-binomial"
TRIAL = "crossover_example"
OURS, TEXTBOOK = "bayes_msc NUTS", "textbook PyMC"
BAMBI = [
    "uv",
    "run",
    "--quiet",
    "--isolated",
    "--no-project",
    "--with",
    "bambi",
    "--with",
    "nutpie",
]


@dataclass(frozen=True)
class Engine:
    """One way to refit.

    Attributes
    ----------
    name : str
    refit : callable
        From what is asked to a timed refit; whatever needs compiling is compiled.
    bounds : Bounds
        How closely it must agree with ours.
    target_accept : float, optional
        In place of the one that all share.
    tune : int, optional
        In place of the one that all share.
    more_draws : int
        Factor on the number of draws.
    note : str
        What differs.
    """

    name: str
    refit: Callable[[Ask], Refit]
    bounds: Bounds = SAME
    target_accept: float | None = None
    tune: int | None = None
    more_draws: int = 1
    note: str = ""

    def run(self, ask: Ask) -> Refit:
        """Refit as this engine is to be asked."""
        accept = ask.target_accept if self.target_accept is None else self.target_accept
        tune = ask.tune if self.tune is None else self.tune
        draws = ask.draws * self.more_draws
        return self.refit(replace(ask, target_accept=accept, tune=tune, draws=draws))


def question() -> tuple[Model, Trial]:
    """The model and the trial: 9 simulated patients, 2 periods, one of them not seen."""
    return Model.load(CARD).without_term("baseline"), load_trial(TRIAL).by_period()


def in_process(model: Model, trial: Trial) -> Callable[[Ask], Refit]:
    """Refit by this package's sampler, compiled once; the time is that of ``Sampler.sample``."""
    sampler = Sampler.of(model, trial)

    def refit(ask: Ask) -> Refit:
        settings = Settings(ask.draws, ask.tune, ask.chains, ask.target_accept)
        start = time.perf_counter()
        trace = sampler.sample(model, trial, settings, ask.seed, cores=ask.cores)
        seconds = time.perf_counter() - start
        posterior = trace["posterior"]
        draws = {name: posterior[name].to_numpy() for name in PARAMETERS}
        return Refit(seconds, draws, int(trace["sample_stats"]["diverging"].sum()))

    return refit


def own_engines(model: Model, trial: Trial) -> list[Engine]:
    """Ours, and the textbook model: patient effects sampled, not centred."""
    textbook = Textbook(model, trial).refit
    accept, tune = Settings.target_accept, Settings.tune
    return [
        Engine(OURS, in_process(model, trial), target_accept=accept, tune=tune),
        Engine(TEXTBOOK, textbook, target_accept=accept, tune=tune, note="our target"),
        Engine(
            f"{TEXTBOOK}, target 0.8",
            textbook,
            target_accept=0.8,
            tune=tune,
            note="nutpie's default target",
        ),
    ]


def _rstanarm(peer: Peer) -> list[Engine]:
    note = (
        "stan_glmer.nb; nearest priors it can take (Cauchy on 1 / overdispersion, exponential "
        "on patient_sd), so the posterior agrees only loosely; its own default target"
    )
    return [Engine("rstanarm", peer.refit, NEAREST, note=note)]


def _brms(peer: Peer) -> list[Engine]:
    return [
        Engine("brms update", peer.refit, note="compiled beforehand"),
        Engine("brms update, target 0.8", peer.refit, target_accept=0.8, note="its default target"),
    ]


def _jags(peer: Peer) -> list[Engine]:
    return [Engine("JAGS", peer.refit, more_draws=10, note="ten times the draws")]


def _bambi(peer: Peer) -> list[Engine]:
    note = "by nutpie, in an environment of its own"
    tune = Settings.tune
    return [
        Engine("Bambi", peer.refit, target_accept=Settings.target_accept, tune=tune, note=note),
        Engine("Bambi, target 0.8", peer.refit, target_accept=0.8, tune=tune, note=note),
    ]


#: By name: the check that it is installed, which gives the version; its command; its engines.
PEERS: dict[str, tuple[Callable[[], str], list[str], Callable[[Peer], list[Engine]]]] = {
    "rstanarm": (partial(r_version, "rstanarm"), r_command("rstanarm"), _rstanarm),
    "brms": (partial(r_version, "brms"), r_command("brms"), _brms),
    "jags": (partial(r_version, "rjags"), r_command("jags"), _jags),
    "bambi": (
        lambda: _uv_version(),
        [*BAMBI, "python", str(SCRIPTS / "bambi_hierarchy.py")],
        _bambi,
    ),
}


def _uv_version() -> str:
    if shutil.which("uv") is None:
        raise PeerError("uv is not installed, which makes the environment for Bambi")
    return "of the environment that uv makes"


def start_peer(name: str, model: Model, trial: Trial, stack: ExitStack) -> list[Engine]:
    """Start a peer and try it with one small refit.

    Raises
    ------
    PeerError
        If it is not installed, cannot be compiled or does not answer.
    """
    installed, command, engines = PEERS[name]
    installed()
    peer = stack.enter_context(Peer(command, exchange(model, trial)))
    peer.refit(Ask(seed=1, chains=1, tune=50, draws=50, cores=1, target_accept=0.8))
    return engines(peer)


def peer_versions() -> list[Measure]:
    """Versions of the peers that are installed, and why the others are not used."""
    rows = []
    for name, (installed, _, _) in PEERS.items():
        try:
            note = installed()
        except PeerError as error:
            note = f"skipped: {error}"
        rows.append(Measure("machine", name, "", float("nan"), note=note))
    return rows
