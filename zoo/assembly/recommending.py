"""`recommend`, from what was asked to a ranking and advice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.artifacts.run_folder import RunFolder
from zoo.assembly.console import Console
from zoo.assembly.data import open_data
from zoo.assembly.numbers import refuse_arrays
from zoo.assembly.pinned import say_wrappers, used_wrappers
from zoo.assembly.recommend.candidates import choose_candidates
from zoo.assembly.recommend.halving import RULE
from zoo.assembly.recommend.pool import Pool
from zoo.assembly.recommend.race import Race
from zoo.assembly.recommend.recommendation import Recommendation, Row, advise
from zoo.assembly.recommend.track import Track
from zoo.assembly.session import Session
from zoo.assembly.start import now, open_scratch
from zoo.config.compose import configure
from zoo.data.listing import Listing
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError, UserErrors, raise_all
from zoo.features.crossval import FOLDS
from zoo.plugins import Plugins
from zoo.training.latency import machine_name


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
        words: `data=PATH`, `data.KEY=VALUE` and `train.KEY=VALUE`, as `finetune` reads them.
        models: Names and patterns; empty means every network whose weights are at hand.
        budget_s: Seconds for latency, features and scores, imports not counted; None takes all images for all.
        max_parameters: Larger networks are refused.
        max_ms: Networks that take longer for an image are refused.
        download: Whether patterns reach networks whose weights have to be fetched.
    """

    words: tuple[str, ...]
    models: tuple[str, ...] = ()
    budget_s: float | None = None
    max_parameters: float | None = None
    max_ms: float | None = None
    download: bool = False


def recommend(asked: Asked, plugins: Plugins, *, console: Console, folder: RunFolder) -> Recommendation:
    """Ranks networks on the training and validation images of a data set; the test images are never read.

    Each candidate's frozen features are computed once for each image. The score is a linear probe's on images of a
    fold that it never saw, cross-validated; beside it stand LogME, H-score, the nearest neighbours, latency and size.

    Args:
        asked: What is compared, on what, within which limits.
        plugins: What is installed.
        console: Told what happens.
        folder: Where the results will be written.

    Raises:
        UserErrors: Words or names that mean nothing, together; data that cannot be used; no candidate left.
    """
    errors: list[UserError] = []
    config = field = None
    try:
        config = configure(asked.words, plugins, source_for=source_name_for)
    except UserError as error:
        errors += _single(error)
    try:
        field = choose_candidates(
            plugins.registry, asked.models, max_parameters=asked.max_parameters, download=asked.download
        )
    except UserError as error:
        errors += _single(error)
    raise_all(errors)
    if config is None or field is None:
        raise RuntimeError("no configuration and no error")
    session = open_scratch(config, plugins, console=console, folder=folder, verb="recommend")
    pool = _open_pool(session)
    for note in field.notes:
        console.say(f"        {note}")
    acting = [("dataset", config.data.name), *(("model", one.full_name) for one in field.candidates)]
    say_wrappers(used_wrappers(plugins.registry.get(kind, name) for kind, name in acting), console.say)
    console.say(f"compare {len(field.candidates)} networks on {len(pool.samples)} images, {FOLDS} folds")
    race = Race(
        session, pool, words=asked.words, candidates=field.candidates, budget_s=asked.budget_s, max_ms=asked.max_ms
    )
    race.run()
    return _concluded(race, asked, session=session, listing=pool.listing, notes=field.notes)


def _single(error: UserError) -> list[UserError]:
    return list(error.errors) if isinstance(error, UserErrors) else [error]


def _open_pool(session: Session) -> Pool:
    source, listing, facts = open_data(session)
    refuse_arrays(facts, listing.location, why="the networks that are compared know images")
    pool = Pool(source, listing, seed=session.config.train.seed)
    tested = len(listing.samples) - len(pool.samples)
    if tested:
        session.console.say(f"        the {tested} test images are left alone: a choice made on them would be no test")
    return pool


def _concluded(race: Race, asked: Asked, *, session: Session, listing: Listing, notes: Sequence[str]) -> Recommendation:
    """Rows in order, and the advice."""
    level, contenders = race.contenders()
    comparison = race.compared(level, contenders)
    chances = {track.name: comparison.chance[i] for i, track in enumerate(contenders)}
    rows = {track.name: race.row(track, chance=chances.get(track.name, math.nan)) for track in race.tracks}
    intervals = [race.interval(track, level) for track in contenders]
    images = len(contenders[0].scores[level])
    advice = advise(
        [track.name for track in contenders],
        intervals,
        latencies=[track.latency_ms for track in contenders],
        comparison=comparison,
        images=images,
    )
    return Recommendation(
        task=listing.task,
        rows=tuple(rows[track.name] for track in sorted(race.tracks, key=_place)),
        advice=advice,
        rounds=tuple(race.rounds),
        notes=(*listing.notes, *notes, *_warnings(rows)),
        machine=machine_name(session.accelerator.device),
        facts=_facts(asked, session=session, listing=listing),
    )


def _place(track: Track) -> tuple[int, float, str]:
    """Those of the last round first, the best first; those that were not scored last."""
    last = max(track.scores, default=0)
    return -last, -float(track.scores[last].mean()) if last else 0.0, track.name


def _warnings(rows: Mapping[str, Row]) -> list[str]:
    return [f"{row.name}: {row.reason}" for row in rows.values() if row.status == "scored" and row.reason]


def _facts(asked: Asked, *, session: Session, listing: Listing) -> dict[str, Any]:
    """What the result stands on."""
    return {
        "data": {"name": listing.name, "location": listing.location, "classes": list(listing.classes)},
        "asked": dataclasses.asdict(asked),
        "folds": FOLDS,
        "seed": session.config.train.seed,
        "rule": RULE if asked.budget_s is not None else "all images for all candidates",
        "environment": session.record.environment,
        "started": session.record.started,
        "finished": now(),
    }
