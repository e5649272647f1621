"""Fakes made while training: which clip is forged how, as a function of the draw alone.

The pixels are changed by `avkd.blending`; here is what it is applied to. In training a real clip
and the fake made of it share position, and so start, recipe, view and degradation. In validation
every real clip stands for a fixed number of such pairs (`shown_for_validation`).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from avkd.blending.degradation import degrade, draw_degradation
from avkd.blending.look import with_look_of
from avkd.blending.online_forgery import OnlineForgery, Recipe, draw_recipe, mean_face
from avkd.data.clip_items import ClipItem
from avkd.data.faces.face_crop import template_points
from avkd.data.manifest import FAKE, REAL, Sample
from avkd.data.media.codec_round_trip import Codec, through_codec
from avkd.data.sampling import Role

_TRIES = 12  # for a donor who is somebody else
_LEAST_APART_FRAMES = 8  # of another moment
_CODEC_SHARE = 0.4  # of the degraded clips
_VALIDATION_DRAWS_OF_A_PICTURE = 3
_VALIDATION_SEED = 0  # the same for all runs, so that they can be compared
# Random streams; their numbers must never change.
_RECIPE, _DEGRADATION, _GRAIN, _CODEC, _LOOK = range(5)


@dataclass(frozen=True)
class OnlineFakes:
    """Forges and degrades clips of a list of items, among which donors are looked for.

    Without a ``forgery`` nothing is forged. ``degradation`` is the probability that a clip is
    degraded, ``match_looks`` that one of two clips of different origin takes the other's look.
    """

    items: Sequence[ClipItem]
    forgery: OnlineForgery | None
    degradation: float
    match_looks: float = 0.0

    def shown(
        self, item: ClipItem, start: int, frames: np.ndarray, role: Role, stream: Sequence[int]
    ) -> np.ndarray:
        """What is seen of ``frames`` (T, S, S, 3) uint8, those of ``item`` from frame ``start`` on.

        They are as stored; ``stream`` names the draw, the same for a real and its fake.
        """
        if role != "stored":
            recipe, donor, first = self._recipe(item, start, len(frames), stream)
            if role == "online_real":
                frames = recipe.base(frames)
            elif recipe.source == "own":
                frames = recipe.fake(frames)
            else:
                frames = recipe.fake(frames, donor.frames(first, len(frames)))
        steps = draw_degradation(np.random.default_rng([*stream, _DEGRADATION]), self.degradation)
        if steps:
            grain = np.random.default_rng([*stream, _GRAIN])
            frames = np.stack([degrade(frame, steps, grain) for frame in frames])
        codec = np.random.default_rng([*stream, _CODEC])
        if codec.random() < self.degradation * _CODEC_SHARE:
            frames = _encoded(frames, codec)
        return frames

    def with_look_of(
        self, item: ClipItem, frames: np.ndarray, other: np.ndarray, stream: Sequence[int]
    ) -> np.ndarray:
        """``frames`` (T, S, S, 3), perhaps with the look of ``other`` (S, S, 3).

        Of the two clips that share ``stream`` at most one changes: the real or the fake.
        """
        drawn, strength = np.random.default_rng([*stream, _LOOK]).random(2)
        if drawn >= self.match_looks:
            return frames
        changes = item.sample.label == (REAL if drawn < self.match_looks / 2 else FAKE)
        return with_look_of(frames, other, 0.5 + strength / 2) if changes else frames

    def blender(self, item: ClipItem, stream: Sequence[int]) -> str:
        """Name of the blending method that the draw of ``stream`` uses."""
        return self._recipe(item, 0, item.num_frames, stream)[0].blender

    def _recipe(
        self, item: ClipItem, start: int, length: int, stream: Sequence[int]
    ) -> tuple[Recipe, ClipItem, int]:
        """The recipe, and the item and first frame that its source is read from."""
        assert self.forgery is not None, "the sampler asks for fakes only where some are made"
        rng = np.random.default_rng([*stream, _RECIPE])
        person, moment = self._donor(item, length, rng), _other_moment(item, start, length, rng)
        recipe = draw_recipe(
            rng,
            self.forgery,
            mean_face(item.landmarks(start, length), template_points(item.crop_pixels)),
            item.crop_pixels,
            donor_at_hand=person is not None,
            moment_at_hand=moment is not None,
        )
        if recipe.source == "other_person" and person is not None:
            return recipe, person, min(start, person.num_frames - length)
        return recipe, item, start if moment is None else moment

    def _donor(self, item: ClipItem, length: int, rng: np.random.Generator) -> ClipItem | None:
        """Somebody else of the same dataset, or None where a few draws find nobody.

        A stored fake will do: its face is no less foreign, and a generated one has its own traces.
        """
        people = set(item.sample.identities)

        def fits(other: ClipItem) -> bool:
            who = set(other.sample.identities)
            # Of another dataset, its camera would give the source away.
            alike = other.sample.split == item.sample.split
            alike = alike and other.sample.dataset == item.sample.dataset
            is_other = bool(people and who) and people.isdisjoint(who)
            return is_other and alike and other.num_frames >= length

        drawn = (self.items[place] for place in rng.integers(0, len(self.items), _TRIES).tolist())
        return next(filter(fits, drawn), None)


def _other_moment(item: ClipItem, start: int, length: int, rng: np.random.Generator) -> int | None:
    """First frame of another part of the same clip; None where it is too short to have one."""
    share = rng.random()
    places = item.num_frames - length + 1
    room = places - 2 * _LEAST_APART_FRAMES
    if room < 1:
        return None
    return (start + _LEAST_APART_FRAMES + int(share * room)) % places


def _encoded(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip as a camera's or a site's encoder leaves it; a single picture as a later frame."""
    codec: Codec = "h264" if rng.random() < 0.8 else "mpeg4"
    quantiser = int(rng.integers(18, 36) if codec == "h264" else rng.integers(2, 14))
    share, moves = float(rng.uniform(0.45, 1.0)), rng.integers(-2, 3, 2)
    if rng.random() < 0.5:
        share = 1.0
    if len(frames) > 1:
        return through_codec(frames, codec, quantiser, share=share)
    before = np.roll(frames[0], moves, (0, 1))
    return through_codec(np.stack([before, frames[0]]), codec, quantiser, share=share)[-1:]


def shown_for_validation(fakes: OnlineFakes) -> list[ClipItem]:
    """What selects a model and its threshold, of the validation split: always the same.

    Where fakes are made, for every real one pair, of pictures three; a fake's method is ``online_``
    and its blender. Stored fakes, and all where none are made, once. If they are degraded, all once
    more as they lie in the store, under a dataset of its own: people judge files as they come, and
    a rule must hold for those by themselves.
    """
    plain = replace(fakes, degradation=0.0)
    found = []
    for item in fakes.items:
        is_forged = item.sample.label == REAL and fakes.forgery is not None
        is_picture = item.num_frames == 1
        num_draws = _VALIDATION_DRAWS_OF_A_PICTURE if is_forged and is_picture else 1
        for draw in range(num_draws):
            found += _shown(fakes, item, draw, is_forged)
        if fakes.degradation:
            found += _shown(plain, item, num_draws, is_forged, as_stored=True)
    return found


def _shown(
    fakes: OnlineFakes, item: ClipItem, draw: int, is_forged: bool, *, as_stored: bool = False
) -> list[ClipItem]:
    """The item itself, or the real and the fake of one draw; or the real as it is stored."""
    stream = (_VALIDATION_SEED, zlib.crc32(item.sample.sample_id.encode()), draw)
    dataset = item.sample.dataset + ("_as_stored" if as_stored else "")
    sample = replace(item.sample, dataset=dataset)
    seen: dict[Role, Sample] = {"stored": sample}
    if is_forged:
        real = replace(sample, sample_id=f"{sample.sample_id}@{draw}")
        fake = replace(
            sample,
            sample_id=f"{real.sample_id}/forged",
            label=FAKE,
            method=f"online_{fakes.blender(item, stream)}",
            source_id=real.sample_id,
        )
        seen = {"stored" if as_stored else "online_real": real, "online_fake": fake}
    return [
        replace(item, sample=shown, change=partial(fakes.shown, item, role=role, stream=stream))
        for role, shown in seen.items()
    ]
