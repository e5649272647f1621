"""Following faces between searches: what asks for a search, and that what is followed is right."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avkd.data.faces import following
from avkd.data.faces.face_detector_mtcnn import MtcnnDetector
from avkd.data.faces.face_tracks import Faces, find_tracks
from avkd.data.faces.following import LONGEST_WAIT, LOOKS_PER_SEARCH, Following
from avkd.data.media.frame import Frame

PHOTOS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "photos"


def faces(lefts: list[float]) -> Faces:
    boxes = np.array([[x, 60, x + 40, 110] for x in lefts], float).reshape(-1, 4)
    return Faces(boxes, np.full(len(lefts), 0.99), np.zeros((len(lefts), 5, 2)))


class Recorded:
    """Knows what is in each picture, and what it was asked."""

    def __init__(self, *seen: list[float]) -> None:
        self.seen, self.number, self.asked = seen, -1, ""

    def __call__(self, image: np.ndarray) -> Faces:
        self.asked += "S"
        return faces(self.seen[self.number])

    def follow(self, image: np.ndarray, boxes: np.ndarray) -> Faces:
        self.asked += "f"
        return faces([x for x in boxes[:, 0] if x in self.seen[self.number]])

    def watch(self, pictures: list[np.ndarray]) -> list[int]:
        """How many faces were reported of each picture."""
        found = Following(self)
        numbers = []
        for self.number, picture in enumerate(pictures):
            numbers.append(len(found(picture)))
        return numbers


def scene(*spots: tuple[int, int], level: int = 90) -> np.ndarray:
    """A grey room, 320 x 200, with bright squares of the smallest face's size at (x, y)."""
    picture = np.full((200, 320, 3), level, np.uint8)
    for x, y in spots:
        picture[y : y + 20, x : x + 20] = 160
    return picture


def test_a_steady_scene_is_searched_every_25th_look_only() -> None:
    detector = Recorded(*[[50.0]] * 52)
    assert detector.watch([scene((60, 70))] * 52) == [1] * 52
    assert detector.asked == ("S" + 24 * "f") * 2 + "Sf" and LOOKS_PER_SEARCH == 25


def test_where_nobody_is_followed_every_fifth_look_is_a_search_and_with_hands_every_other() -> None:
    nobody = Recorded(*[[]] * 7)
    assert nobody.watch([scene()] * 7) == [0] * 7
    assert nobody.asked == "SS"
    waving = Recorded(*[[]] * 8)
    assert waving.watch([scene((40 * n, 160)) for n in range(8)]) == [0] * 8
    assert waving.asked == "SSSS"


@pytest.mark.parametrize("place", [(200, 90), (205, 97), (300, 180), (0, 0)])
def test_who_comes_is_found_at_the_next_look(place: tuple[int, int]) -> None:
    pictures = [*[scene((60, 70))] * 3, *[scene((60, 70), place)] * 2]
    detector = Recorded([50.0], [50.0], [50.0], [50.0, 200.0], [50.0, 200.0])
    assert detector.watch(pictures) == [1, 1, 1, 2, 2] and detector.asked == "SffSf"


def test_a_cut_and_a_lost_face_are_searched_at_once() -> None:
    cut = Recorded([50.0], [50.0], [50.0, 200.0], [50.0, 200.0])
    assert cut.watch([*[scene((60, 70))] * 2, *[scene((60, 70), level=40)] * 2]) == [1, 1, 2, 2]
    assert cut.asked == "SfSf"
    lost = Recorded([50.0], [], [])
    assert lost.watch([scene((60, 70))] * 3) == [1, 0, 0] and lost.asked == "SfS"
    resized = Recorded([50.0], [50.0])
    assert resized.watch([scene(), scene()[:150]]) == [1, 1] and resized.asked == "SS"


def test_a_face_that_moves_is_followed() -> None:
    nodding = [scene((60, 70 + 4 * n)) for n in range(5)]
    detector = Recorded(*[[50.0]] * 5)
    assert detector.watch(nodding) == [1] * 5 and detector.asked == "Sffff"


def test_searches_for_moving_hands_become_rarer_until_somebody_comes() -> None:
    waving = [scene((60, 70), (40 * (n % 7), 160)) for n in range(24)]
    detector = Recorded(*[[50.0]] * 18, *[[50.0, 200.0]] * 6)
    assert detector.watch(waving) == [1] * 20 + [2] * 4  # a second later at most
    assert detector.asked == "SfSffSffffSffffSffff" + "SfSf" and LONGEST_WAIT == 4


def test_a_cut_is_searched_at_every_other_look_however_rare_searches_have_become() -> None:
    waving = [scene((60, 70), (40 * (n % 7), 160)) for n in range(12)]
    dark = [scene((60, 70), level=40)] * 2
    detector = Recorded(*[[50.0]] * 12, [50.0, 200.0], [50.0, 200.0])
    assert detector.watch([*waving, *dark]) == [1] * 12 + [2, 2]
    assert detector.asked == "SfSffSffffSf" + "Sf"


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    pytest.importorskip("lz4.frame", reason="needs avkd[face]")
    if not PHOTOS.is_dir():
        pytest.skip("needs the real pictures in ../shared/data/photos")
    return MtcnnDetector()


def astronaut(scale: int = 1) -> np.ndarray:
    picture = Image.open(PHOTOS / "astronaut.png").convert("RGB")
    return np.array(picture.resize((scale * picture.width, scale * picture.height)))


@pytest.mark.parametrize("scale", [1, 3])
def test_mtcnn_follows_a_face_that_has_moved_to_where_a_search_finds_it(
    detector: MtcnnDetector, scale: int
) -> None:
    before = detector(astronaut(scale))
    moved = np.roll(astronaut(scale), (4 * scale, 6 * scale), axis=(0, 1))
    searched, followed = detector(moved), detector.follow(moved, before.boxes)
    assert len(followed) == len(searched) == 1 and followed.scores[0] > 0.95
    apart = np.abs(followed.landmarks - searched.landmarks).max()
    assert apart < 0.05 * np.ptp(searched.boxes[0][[0, 2]])
    again = detector.follow(moved, followed.boxes)
    assert np.abs(again.landmarks - followed.landmarks).max() < 3 * scale


def test_mtcnn_loses_a_face_that_is_gone_and_boxes_at_the_edge(detector: MtcnnDetector) -> None:
    boxes = detector(astronaut()).boxes
    assert len(detector.follow(np.zeros_like(astronaut()), boxes)) == 0
    edges = np.array([[-90, -90, -10, -10], [505, 505, 600, 600]], np.float32)
    for box in edges:
        assert len(detector.follow(astronaut(), box[None])) == 0
    # Two boxes on one face are one face, so that the other is searched.
    assert len(detector.follow(astronaut(), np.repeat(boxes, 2, axis=0))) == 1


def test_shots_two_faces_and_a_glimpse_are_found_as_by_searching_every_time(
    detector: MtcnnDetector,
) -> None:
    """Alone; for 17 frames with somebody else; a shot without anybody; again, larger."""
    alone = np.zeros((400, 800, 3), np.uint8)
    alone[:, :400] = np.array(Image.fromarray(astronaut()).resize((400, 400)))
    both = alone.copy()
    both[100:400, 450:750] = np.array(Image.fromarray(astronaut()[:, ::-1]).resize((300, 300)))
    empty = np.full_like(alone, 128)
    large = np.array(Image.fromarray(astronaut()).resize((800, 800)))[100:500]
    shots = ((alone, 13), (both, 17), (alone, 18), (empty, 14), (large, 23))
    frames = [Frame.of_image(0, 0.0, picture) for picture, count in shots for _ in range(count)]
    spans = [
        sorted((track.start_frame, len(track)) for track in find_tracks(frames, finder))
        for finder in (detector, Following(detector))
    ]
    assert spans[0] == spans[1] == [(0, 46), (15, 11), (65, 20)]


def test_a_block_is_no_larger_than_half_the_smallest_face() -> None:
    for height, width in ((720, 1280), (1080, 1920), (100, 64), (7, 900)):
        picture = np.zeros((height, width, 3), np.uint8)
        rows, columns = following._blocks(picture, 0.05).shape[:2]
        smallest = max(20, 0.1 * min(height, width))
        assert height / rows <= max(1, 0.6 * smallest) and width / columns <= 0.6 * smallest
