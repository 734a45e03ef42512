"""Runs candidates over the user's images: one frozen pass each, in rounds that keep a time budget."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from zoo.assembly.console import Console, duration
from zoo.assembly.data import pack_data
from zoo.assembly.featuring import bank_of
from zoo.assembly.network import build_backbone, finish_network
from zoo.assembly.precision import PrecisionChoice
from zoo.assembly.recommend.candidates import Candidate
from zoo.assembly.recommend.halving import Round, Standing, first_images, next_round
from zoo.assembly.recommend.pool import Pool
from zoo.assembly.recommend.recommendation import RoundLog, Row
from zoo.assembly.recommend.track import Track
from zoo.assembly.session import Session
from zoo.config.compose import configure
from zoo.contracts.evaluation import Interval
from zoo.contracts.model import LoadReport, Model
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError, ZooError
from zoo.evaluation.comparison import Comparison, compare, mean_interval
from zoo.features.crossval import out_of_fold_scores
from zoo.features.probe import Labelled
from zoo.features.ranking import h_score, log_evidence, neighbour_score
from zoo.training.latency import median_latency_ms

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Result = TypeVar("_Result")

MOST_HINTED = 2000
"""LogME and H-score are computed on this many images at most: they are hints, and grow with the square of the width."""

_SEEN_BEFORE = "a published model; if it was fine-tuned on these very images, its score is too good"

KEPT_PARAMETERS = 100_000_000
"""Networks of so many parameters in all stay in memory between the measurement of latency and the first round."""


@dataclass(frozen=True)
class Loaded:
    """A network ready for a pass, with the session that names it."""

    session: Session
    model: Model
    report: LoadReport


class Race:
    """Measures candidates, round after round; what fails is noted, and the others go on.

    Args:
        session: Device, threads, data options; its console is told what happens.
        pool: The images.
        words: The command line's words for data and device, from which each candidate's configuration is made.
        candidates: Networks; those that are refused get their row.
        budget_s: Seconds for everything, from the session's start; None takes all images for all.
        max_ms: Slower networks are refused.
    """

    def __init__(
        self,
        session: Session,
        pool: Pool,
        *,
        words: Sequence[str],
        candidates: Sequence[Candidate],
        budget_s: float | None,
        max_ms: float | None,
    ) -> None:
        self.session, self.pool, self.words = session, pool, tuple(words)
        self.budget_s, self.max_ms = budget_s, max_ms
        self.tracks = [Track(candidate) for candidate in candidates]
        self.rounds: list[RoundLog] = []
        self._kept: dict[str, Loaded] = {}

    def run(self) -> None:
        """Latency first, then rounds by `halving.RULE`."""
        for track in self.tracks:
            self._measure(track)
        total, classes = len(self.pool.samples), len(self.pool.listing.classes)
        ready = sorted((track for track in self.tracks if not track.status), key=lambda track: track.latency_ms)
        plan: Round | None = Round(
            first_images(total, classes=classes, budget=self.budget_s is not None), tuple(track.name for track in ready)
        )
        while plan is not None and plan.names:
            standings, done = self._play(plan), plan.images
            plan = next_round(standings, done=done, total=total, left_s=self._left_s())
            if plan is None and done < total:
                left = duration(max(0.0, self._left_s()))
                self.session.console.say(
                    f"what is left of the budget ({left}) is too short for a round on more of the {total} images; "
                    "budget=null takes all"
                )

    def row(self, track: Track, *, chance: float) -> Row:
        """The candidate's line in the table."""
        candidate = track.candidate
        weights = "none"
        if not candidate.refused.startswith("no pretrained"):
            at_hand = candidate.weights or "published" if candidate.at_hand else track.stand_in
            weights = f"at hand ({at_hand})" if at_hand else "downloaded"
        known = Row(
            name=track.name,
            full_name=candidate.full_name,
            status=track.status or "scored",
            reason=track.reason or track.warning,
            weights=weights,
            parameters=candidate.parameters,
            chance=chance,
            latency_ms=track.latency_ms,
            input_px=track.input_px,
            feature_dim=track.feature_dim,
        )
        if not track.scores:
            return known
        images = max(track.scores)
        evidence, h, neighbours = track.hints
        return dataclasses.replace(
            known,
            score=self.interval(track, images),
            images=len(track.scores[images]),
            log_evidence=evidence,
            h_score=h,
            neighbours=neighbours,
        )

    def _probe(self, track: Track) -> NDArray[np.float64]:
        """The cross-validated probe's score of each image."""
        listing = self.pool.listing
        return out_of_fold_scores(
            Labelled(track.features, self.pool.targets[track.places]),
            folds=self.pool.folds(track.places),
            classes=len(listing.classes),
            task=listing.task,
        )

    def _hints(self, track: Track) -> tuple[float, float, float]:
        """LogME, H-score, and the neighbours' score."""
        data = Labelled(track.features, self.pool.targets[track.places])
        few = Labelled(data.features[:MOST_HINTED], data.targets[:MOST_HINTED])
        listing, groups = self.pool.listing, self.pool.groups_of(track.places)
        near = neighbour_score(data, task=listing.task, groups=groups)
        return log_evidence(few, classes=len(listing.classes)), h_score(few), near

    def interval(self, track: Track, images: int) -> Interval:
        """Its score in the round of so many images, with the 95 % interval."""
        scores = track.scores[images]
        groups = self.pool.groups_of(track.places[: len(scores)])
        return mean_interval(scores, groups=groups, seed=self.pool.seed)

    def contenders(self) -> tuple[int, list[Track]]:
        """The largest round in which two or more were scored (or the one that was), and who they are.

        Raises:
            UserError: No candidate was scored at all; every reason is told.
        """
        counts = sorted({images for track in self.tracks for images in track.scores}, reverse=True)
        if not counts:
            raise UserError(
                "no candidate could be scored:\n"
                + "\n".join(f"    {track.name}: {track.status}: {track.reason}" for track in self.tracks),
                where="models",
                do="name other networks, or loosen max_params, max_ms or budget",
            )
        level = next((n for n in counts if sum(n in track.scores for track in self.tracks) > 1), counts[0])
        return level, [track for track in self.tracks if level in track.scores]

    def compared(self, level: int, contenders: Sequence[Track]) -> Comparison:
        """The contenders' scores on the same images, by a paired bootstrap.

        Raises:
            UserError: They did not see the same images: a file changed meanwhile.
        """
        count = len(contenders[0].scores[level])
        places = contenders[0].places[:count]
        if any(not np.array_equal(track.places[: len(track.scores[level])], places) for track in contenders):
            raise UserError(
                "the images changed while networks were compared on them: one could read a file and another could not",
                where=self.pool.listing.location,
                do="run it again, and leave the images alone meanwhile",
            )
        return compare(
            [track.scores[level] for track in contenders], groups=self.pool.groups_of(places), seed=self.pool.seed
        )

    def _left_s(self) -> float:
        if self.budget_s is None:
            return float("inf")
        return self.session.started + self.budget_s - time.monotonic()

    def _measure(self, track: Track) -> None:
        """Builds the network once, for its latency and its input, and notes what is against it."""
        if track.candidate.refused:
            track.status, track.reason = "refused", track.candidate.refused
            return
        if self._left_s() <= 0 and any(not np.isnan(other.latency_ms) for other in self.tracks):
            self._no_time(track)
            return
        loaded = self._attempt(track, lambda: self._load(track))
        if loaded is None:
            return
        preprocess = loaded.model.spec.preprocess
        image = torch.zeros(1, preprocess.channels, preprocess.size, preprocess.size, device=self._device)
        image = image.contiguous(memory_format=torch.channels_last)
        latency = self._attempt(track, lambda: median_latency_ms(loaded.model.module, image))
        if latency is None:
            return
        track.latency_ms, track.input_px = latency, preprocess.size
        track.feature_dim = loaded.model.spec.feature_dim
        if self.max_ms is not None and latency > self.max_ms:
            track.status, track.reason = "refused", f"over the limit: {latency:.1f} ms an image, max_ms={self.max_ms:g}"
            return
        if sum(map(_size, [*self._kept.values(), loaded])) <= KEPT_PARAMETERS:
            self._kept[track.name] = loaded

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.session.accelerator.device
        return device

    def _no_time(self, track: Track) -> None:
        track.status, track.reason = (
            "no time",
            f"the budget of {duration(self.budget_s or 0)} was spent before its turn",
        )

    def _play(self, plan: Round) -> list[Standing]:
        """One round: features of the new images, the probe on all; what it gave, and a line of it."""
        start = time.monotonic()
        by_name = {track.name: track for track in self.tracks}
        done: list[Track] = []
        for name in plan.names:
            track = by_name[name]
            if done and self._left_s() <= track.cost_s(plan.images):
                if not track.scores:
                    self._no_time(track)
                continue
            if self._advance(track, plan.images):
                done.append(track)
        done.sort(key=lambda track: -track.scores[plan.images].mean())
        scores = {track.name: float(track.scores[plan.images].mean()) for track in done}
        self.rounds.append(RoundLog(plan.images, scores, time.monotonic() - start))
        if done:
            shown = ", ".join(f"{name} {100 * score:.1f} %" for name, score in list(scores.items())[:4])
            self.session.console.say(
                f"round {len(self.rounds)}: {plan.images} images, {len(done)} of {len(plan.names)} candidates, "
                f"{duration(time.monotonic() - start)}: {shown}{', ...' if len(done) > 4 else ''}"
            )
        return [track.standing(plan.images) for track in done]

    def _advance(self, track: Track, images: int) -> bool:
        """Takes one candidate to so many images; False where it failed."""
        if track.taken < images and not self._read(track, images):
            return False
        start = time.monotonic()
        scored = self._attempt(track, lambda: (self._probe(track), self._hints(track)))
        if scored is None:
            return False
        scores, track.hints = scored
        track.scores[images] = scores
        if images == len(self.pool.samples):
            track.features = track.features[:0]  # nothing asks for them any more
        track.scoring_s = (time.monotonic() - start) / images
        self.session.console.say(
            f"  {track.name}: {100 * scores.mean():.1f} % on {len(scores)} images, {track.latency_ms:.1f} ms an image"
        )
        return True

    def _read(self, track: Track, images: int) -> bool:
        """Features of the images that the candidate has not seen; a fault of the data ends everything, not it alone."""
        start, before = time.monotonic(), track.taken
        loaded = self._kept.pop(track.name, None) or self._attempt(track, lambda: self._load(track))
        if loaded is None:
            return False
        part = self.pool.part(before, images)
        bundle = pack_data(loaded.session, self.pool.source, listing=part, preprocess=loaded.model.spec.preprocess)
        precision = PrecisionChoice(loaded.session, loaded.model)
        bank = self._attempt(
            track,
            lambda: bank_of(loaded.session, loaded.model, bundle=bundle, report=loaded.report, precision=precision),
        )
        if bank is None:
            return False
        if not np.isfinite(bank.features).all():
            track.status, track.reason = "failed", "some of its features are no finite numbers"
            return False
        places = np.array([self.pool.places[key] for key in bundle.keys], np.int64)
        order = np.argsort(places)
        features = bank.features[order]
        track.features = np.concatenate([track.features, features]) if before else features
        track.places = np.concatenate([track.places, places[order]])
        track.taken = images
        # What lay in the cache says nothing of the next images; a single image's latency bounds them.
        seconds = time.monotonic() - start
        track.feature_s = track.latency_ms / 1000 if bank.cached else seconds / (images - before)
        return True

    def _load(self, track: Track) -> Loaded:
        """The network with its pretrained values, on the device; its own session speaks to nobody."""
        candidate, session = track.candidate, self.session
        config = configure([*self.words, f"model={candidate.full_name}"], session.plugins, source_for=source_name_for)
        own = dataclasses.replace(
            session, config=config, console=_Muted(as_json=True), measured={"threads": session.measured.get("threads")}
        )
        own.seed_everything()
        facts = self.pool.listing.facts
        model, found = build_backbone(
            config, session.registry, facts=facts, say=_silent, weights=candidate.weights or None
        )
        if found is None:
            raise UserError("no pretrained weights were found", where=f"model={candidate.name}")
        track.stand_in = "" if candidate.at_hand or found.source == "hub" else found.source
        own_weights = candidate.at_hand and not candidate.weights
        track.warning = found.warning or (_SEEN_BEFORE if own_weights else "")
        model, report = finish_network(model, found, config=config, registry=session.registry, classes=facts.classes)
        model.module.to(self._device).eval()
        return Loaded(own, model, report)

    def _attempt(self, track: Track, action: Callable[[], _Result]) -> _Result | None:
        """What the action gives, or None with the reason noted: one candidate's failure is a row of the table."""
        try:
            return action()
        except Exception as error:
            track.status, track.reason = "failed", _reason(error)
            self.session.console.say(f"  {track.name}: failed: {track.reason}")
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            return None


class _Muted(Console):
    """Draws its bars on a terminal and says nothing: sixteen networks would each report the same bad files."""

    def say(self, text: str) -> None:
        """Nothing."""


def _size(loaded: Loaded) -> int:
    return sum(parameter.numel() for parameter in loaded.model.module.parameters())


def _silent(_: str) -> None:
    """Where weights are looked for is told by the table."""


def _reason(error: Exception) -> str:
    """The first line of what went wrong, with its kind where it is not one of zoo's own messages."""
    first = (str(error).splitlines() or [""])[0].removesuffix("; tried:")
    if isinstance(error, ZooError):
        return first
    return f"{type(error).__name__}: {first}"[:300].removesuffix(": ")
