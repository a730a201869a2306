"""BlazePose for several people in an image.

The networks were made for one person who fills the picture. Here MultiPose says about where people are, those half
hidden behind others among them, and BlazePose reads them there. A face that nobody of them has tells of another person,
below it. Where MultiPose gives as many people as it can, or nobody, candidates are searched on the whole image and on
overlapping tiles, too. The quick landmark network goes to a face or candidate and looks again in the region that its
first landmarks ask for, until they stay; the accurate one then reads the pose. Where a person is expected it reads at
once. Whoever comes out twice is kept once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcbench.experts.agreement import agreed, alone, confirmed
from mcbench.experts.base import MASK_SIZE, Opinion, Peaks, PersonDetection
from mcbench.experts.blazepose import (
    DETECTION,
    LANDMARK_FULL,
    LANDMARK_HEAVY,
    MARGIN,
    Landmarks,
    PoseDetection,
    PoseLandmark,
    candidate_roi,
)
from mcbench.experts.crops import Pyramid, Roi, search_regions
from mcbench.experts.duplicates import SAME, distinct, limb_joints, pose_distance
from mcbench.experts.face import FACE_MODELS, FaceFinder, FaceLandmark
from mcbench.experts.movenet import MOST, MULTIPOSE, MultiPose, Pose
from mcbench.experts.parts import Part
from mcbench.experts.ssd import SsdDetections, overlapping
from mcbench.experts.weights import MEDIAPIPE, weight_digest
from mcbench.joints import BLAZEPOSE33, COCO17, mapping

if TYPE_CHECKING:
    from mcbench.experts.reader import PersonReader

#: A candidate of the first network is looked at from this score on: the second network decides.
MIN_CANDIDATE = 0.25
#: Regions tried for one candidate: the networks' answers for someone who is cut or turned away vary with the region.
MAX_TRIES = 4
#: A candidate is not tried again once someone was found there with this score.
GOOD = 0.45
#: Mean probability of the looks from which they show a person, and that of one look at which to give up.
MIN_PRESENCE, HOPELESS = 0.5, 0.3
#: Limb joints, the best ones, that the score is made of: those of a person cut at the hips.
BEST_JOINTS = 8
#: Looks at one person, each in the region that the one before asks for, until the pose stays where it is.
MAX_LOOKS = 4
#: The pose stays when half the limb joints move by less than this, in radii of the body's circle.
SETTLED = 0.025
#: Margin of the last look: the body at more pixels. On rendered people it lowers the error of the landmarks by a tenth;
#: to look like that from the start loses feet and people who are cut.
CLOSE = 1.05
#: Margins of the regions tried at a prior, and the distance from it, in the same unit, at which no other is tried.
PRIOR_MARGINS = (1.15, 1.0)
EXPECTED = 2 * SETTLED
#: A keypoint of MultiPose is known from this score on.
KNOWN = 0.1
#: How much lower MultiPose has the hips, as a share of the way to the shoulders: 0.015 of stature on rendered people.
LOWER_HIPS = 0.05
#: How far below a face the hips may be, and the radius of the body's circle about them, in sides of the face.
BELOW_FACE = ((2.6, 4.2), (3.4, 4.6), (2.0, 3.2))
#: Further movement, in the same unit, that divides the score by e: on what is no person the pose wanders.
UNSETTLED = 0.12
_HIPS, _SHOULDERS = (
    [BLAZEPOSE33.index(f"{side}_{name}") for side in ("left", "right")] for name in ("hip", "shoulder")
)

#: What is read of a person, and its score.
Reading = tuple[Landmarks, float]


class BlazePoseDetector:
    """BlazePose (full and heavy) where MultiPose sees people, several an image; see `mcbench.experts.base.Detector`.

    Raises
    ------
    InputError : the weights are not in the cache.
    """

    name = "blazepose"
    version = f"mediapipe-{MEDIAPIPE.version}/8"
    keypoint_set = BLAZEPOSE33.name

    def __init__(self) -> None:
        self._detection = PoseDetection()
        self._full = PoseLandmark(LANDMARK_FULL)
        self._heavy = PoseLandmark(LANDMARK_HEAVY)
        self._faces = FaceFinder(FaceLandmark())
        self._multipose = MultiPose()

    @staticmethod
    def resources() -> Mapping[str, str]:
        names = (DETECTION, LANDMARK_FULL, LANDMARK_HEAVY, *FACE_MODELS, MULTIPOSE)
        return {name: weight_digest(name) for name in names}

    def detect(
        self, image: np.ndarray, priors: Sequence[np.ndarray] = (), search: bool = True
    ) -> list[PersonDetection]:
        pyramid = Pyramid(image)
        return self.find(pyramid, priors, self._faces(pyramid) if search else None)

    def leads(self, image: np.ndarray) -> list[PersonDetection]:
        """See `mcbench.experts.base.LeadingDetector`: the poses that MultiPose sees in tiles, masks empty."""
        return [_lead(pose) for pose in self._multipose.in_tiles(Pyramid(image).whole)]

    def opinions(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        """See `mcbench.experts.base.TwofoldDetector`: what MultiPose reads in a square round each place."""
        whole = Pyramid(image).whole
        seen = [self._multipose.around(whole, place) for place in places]
        return [Opinion([_opinion(pose) for pose in poses], _of_blazepose(peaks)) for poses, peaks in seen]

    def expected(self, image: np.ndarray, places: Sequence[np.ndarray]) -> list[Opinion]:
        """See `mcbench.experts.base.TwofoldDetector`: what `mcbench.experts.reader` reads."""
        return self._reader(image, places)

    @functools.cached_property
    def _reader(self) -> PersonReader:
        # it takes torch, which photos and searches do without
        from mcbench.experts.reader import PersonReader

        return PersonReader()

    def joined(self, reading: PersonDetection, opinion: PersonDetection) -> PersonDetection:
        return agreed(reading, opinion, self.keypoint_set)

    def confirmed(self, reading: PersonDetection, expected: PersonDetection, size_px: float) -> PersonDetection:
        return confirmed(reading, expected, size_px, self.keypoint_set)

    def alone(self, opinion: PersonDetection) -> PersonDetection:
        return alone(opinion)

    def find(
        self, image: Pyramid, priors: Sequence[np.ndarray] = (), faces: Sequence[Part] | None = ()
    ) -> list[PersonDetection]:
        """As `detect`, of an image in which the faces have been found already; None to look at the priors alone."""
        found: list[PersonDetection] = []
        taken: list[Landmarks] = []
        for prior in priors:
            _add(image, self._expected(image, prior), taken, found)
        if faces is not None:
            self._search(image, faces, taken, found)
        return distinct(found, self.keypoint_set)

    def _search(
        self, image: Pyramid, faces: Sequence[Part], taken: list[Landmarks], found: list[PersonDetection]
    ) -> None:
        """Look for people everywhere; as `_try` does, add them to `found` and, seen well, to `taken`."""
        poses = self._multipose(image.whole)
        for prior in map(prior_from_pose, poses):
            if not any(pose_distance(_limbs(prior), _limbs(one.points)) < SAME for one in taken):
                _add(image, self._settled(image, self._expected(image, prior)), taken, found)
        if len(poses) >= MOST or not taken:
            for group in self._candidates(image):
                self._try(image, group[:MAX_TRIES], taken, found)
        for face in faces:
            if not any(_is_face_of(face, person) for person in taken):
                self._try(image, regions_below(face), taken, found)

    def _try(
        self, image: Pyramid, regions: Sequence[Roi], taken: list[Landmarks], found: list[PersonDetection]
    ) -> None:
        """Look for one person in regions, until somebody is seen well or somebody `taken` is met; whoever is seen is
        added to `found`, and to `taken` if well."""
        for region in regions:
            looks = self._look(image, region, taken)
            if _one_of(looks[-1], taken):
                break
            score = _score(looks)
            if score > 0.0:
                found.append(_person(image, _best(looks), score))
            if score >= GOOD:
                taken.append(looks[-1])
                break

    def _expected(self, image: Pyramid, prior: np.ndarray) -> Reading | None:
        """What is read near a prior (33, 2) px, and its score: of several readings, the one nearest to the prior.

        Looks wander to someone who stands before the one expected; a closer region may then show the right one.
        """
        regions = [region for m in (*PRIOR_MARGINS, MARGIN) if (region := roi_from_keypoints(prior, m)) is not None]
        if not regions:
            return None
        *close, wide = regions
        readings: list[Reading] = []
        for region in close:
            look = self._heavy(image, region)
            readings.append((look, _score_at(look, prior)))
            if readings[-1][1] >= GOOD and _distance_to(look, prior) < EXPECTED:
                return readings[-1]
        if len(looks := self._look(image, wide, [])) > 1:
            readings.append((_best(looks), _score(looks)))
        readings = [reading for reading in readings if reading[1] > 0.0]
        return min(readings, key=lambda reading: _distance_to(reading[0], prior)) if readings else None

    def _settled(self, image: Pyramid, reading: Reading | None) -> Reading | None:
        """The better of a reading and a closer look at the same place: how far a reading is from a coarse pose says
        little of how well it stays."""
        if reading is None:
            return None
        look = self._heavy(image, reading[0].region(CLOSE))
        return max(reading, (look, _score_at(look, reading[0].points)), key=lambda one: one[1])

    def _candidates(self, image: Pyramid) -> list[list[Roi]]:
        """Regions of the candidates, best first, those whose heads overlap together."""
        found = SsdDetections.concatenate(
            [self._detection(image, region, MIN_CANDIDATE) for region in search_regions(*image.size)]
        )
        return [[candidate_roi(points) for points in group.keypoints] for group in overlapping(found)]

    def _look(self, image: Pyramid, region: Roi, taken: list[Landmarks]) -> list[Landmarks]:
        """Look until the pose stays, or there is no hope, or it is someone already found well; then read it closely."""
        looks = [self._full(image, region)]
        while len(looks) < MAX_LOOKS and looks[-1].presence > HOPELESS and not _one_of(looks[-1], taken):
            looks.append(self._full(image, looks[-1].region()))
            if _distance(looks[-1], looks[-2]) < SETTLED:
                break
        if len(looks) > 1 and looks[-1].presence > HOPELESS and not _one_of(looks[-1], taken):
            looks.append(self._heavy(image, looks[-1].region(CLOSE)))
            if _distance(looks[-1], looks[-2]) >= 2 * SETTLED:
                # the networks disagree, and often the accurate one is right: it must then come out the same by itself
                for _ in range(2):
                    looks.append(self._heavy(image, looks[-1].region(CLOSE)))
        return looks


def _score(looks: list[Landmarks]) -> float:
    """How surely the last of the looks shows a person; 0 where it shows none.

    The product of the mean presence, the mean score of the joints seen best, the mask's mean under them, and a
    factor that falls with the last movements.
    """
    last, presence = looks[-1], float(np.mean([look.presence for look in looks]))
    if len(looks) < 3:
        return 0.0
    wandered = max(0.0, _distance(last, looks[-2]) - SETTLED, _distance(looks[-2], looks[-3]) - SETTLED)
    return _score_of(last, presence, wandered)


def _score_of(last: Landmarks, presence: float, wandered: float) -> float:
    if presence < MIN_PRESENCE:
        return 0.0
    best = np.argsort(-_limbs(last.score))[:BEST_JOINTS]
    weight, covered = _limbs(last.score)[best], _limbs(last.mask_at(last.points))[best]
    return presence * float(np.exp(-wandered / UNSETTLED)) * float(weight @ covered) / BEST_JOINTS


def _score_at(look: Landmarks, prior: np.ndarray) -> float:
    """The score of a single look: as of several, with the distance from the prior in the place of movement."""
    wandered = max(0.0, _distance_to(look, prior) - EXPECTED)
    return _score_of(look, look.presence, wandered)


def _best(looks: list[Landmarks]) -> Landmarks:
    """The close look, unless it disagrees with the one before: it may have cut what the other saw."""
    return looks[-1] if _distance(looks[-1], looks[-2]) < 2 * SETTLED else looks[-2]


def _one_of(landmarks: Landmarks, taken: list[Landmarks]) -> bool:
    return any(_distance(landmarks, one) < SAME for one in taken)


def regions_below(face: Part) -> list[Roi]:
    """Regions for the landmarks of whom a face belongs to: somebody upright, standing, seated or seen to the waist."""
    center, side = face.keypoints.mean(0), float(np.ptp(face.keypoints, axis=0).max())
    down = np.array([0.0, side])
    return [Roi.from_axis(center + drop * down, center + (drop - radius) * down, MARGIN) for drop, radius in BELOW_FACE]


def _is_face_of(face: Part, person: Landmarks) -> bool:
    """Whether a person's nose lies in a face."""
    center, side = face.keypoints.mean(0), float(np.ptp(face.keypoints, axis=0).max())
    return bool(np.linalg.norm(person.points[BLAZEPOSE33.index("nose")] - center) < side)


def prior_from_pose(pose: Pose) -> np.ndarray:
    """Where a pose says that BlazePose's keypoints (33, 2) px are; NaN for those that it lacks or hardly sees."""
    prior = np.full((len(BLAZEPOSE33), 2), np.nan)
    for source, target in mapping(COCO17.name, BLAZEPOSE33.name):
        if pose.keypoint_score[source] > KNOWN:
            prior[target] = pose.keypoints[source]
    return prior


def _opinion(pose: Pose) -> PersonDetection:
    """A pose with the hips where BlazePose has them."""
    lead = _lead(pose)
    up = lead.keypoints[_SHOULDERS].mean(0) - lead.keypoints[_HIPS].mean(0)
    if np.isfinite(up).all():
        lead.keypoints[_HIPS] += LOWER_HIPS * up
    return lead


def _lead(pose: Pose) -> PersonDetection:
    points = prior_from_pose(pose)
    score = np.zeros(len(points))
    source, target = np.array(mapping(COCO17.name, BLAZEPOSE33.name)).T
    score[target] = np.where(pose.keypoint_score[source] > KNOWN, pose.keypoint_score[source], 0.0)
    unknown3d = np.full((len(points), 3), np.nan)
    return PersonDetection(pose.score, pose.box, points, score, unknown3d, np.zeros((MASK_SIZE, MASK_SIZE), np.uint8))


def _of_blazepose(peaks: Peaks) -> Peaks:
    """Peaks of `coco17` by BlazePose's keypoints, those of others left out."""
    index = np.full(len(COCO17), -1)
    source, target = np.array(mapping(COCO17.name, BLAZEPOSE33.name)).T
    index[source] = target
    keypoint = index[peaks.keypoint]
    known = keypoint >= 0
    return Peaks(keypoint[known], peaks.pixels[known], peaks.value[known])


def roi_from_keypoints(keypoints: np.ndarray, margin: float = MARGIN) -> Roi | None:
    """The region for the landmarks of a person whose keypoints (33, 2) px are about known; None without hips."""
    limbs = _limbs(keypoints)
    shoulders, hips = limbs[:2].mean(0), limbs[6:8].mean(0)
    if not np.isfinite([hips, shoulders]).all():
        return None
    radius = 1.1 * np.nanmax(np.linalg.norm(keypoints - hips, axis=1))
    up = (shoulders - hips) / max(float(np.linalg.norm(shoulders - hips)), 1e-6)
    return Roi.from_axis(hips, hips + radius * up, margin) if radius > 1.0 else None


def _distance(a: Landmarks, b: Landmarks) -> float:
    """Median distance of the limb joints, in radii of the smaller body's circle."""
    steps = np.linalg.norm(_limbs(a.points) - _limbs(b.points), axis=1)
    return float(np.median(steps)) / max(min(a.radius, b.radius), 1e-6)


def _distance_to(landmarks: Landmarks, prior: np.ndarray) -> float:
    """Median distance of the limb joints that a prior (33, 2) px knows, in radii of the body's circle."""
    steps = np.linalg.norm(_limbs(landmarks.points) - _limbs(prior), axis=1)
    return float(np.nanmedian(steps)) / max(landmarks.radius, 1e-6)


def _limbs(values: np.ndarray) -> np.ndarray:
    return limb_joints(values, BLAZEPOSE33.name)


def _add(image: Pyramid, reading: Reading | None, taken: list[Landmarks], found: list[PersonDetection]) -> None:
    """Add whoever is read to `found` and, seen well, to `taken`."""
    if reading is not None and reading[1] > 0.0:
        found.append(_person(image, *reading))
        if reading[1] >= GOOD:
            taken.append(reading[0])


def _person(image: Pyramid, landmarks: Landmarks, score: float) -> PersonDetection:
    box = _box(image, landmarks)
    return PersonDetection(
        score=score,
        box=box,
        keypoints=landmarks.points,
        keypoint_score=landmarks.score,
        keypoints3d=landmarks.points3d,
        mask=_mask_on(box, landmarks),
    )


def _box(image: Pyramid, landmarks: Landmarks) -> np.ndarray:
    """Box of the keypoints that are seen, widened to the mask just round it (hair, soles), inside the image."""
    seen = landmarks.points[landmarks.score > 0.3]
    if not len(seen):
        seen = landmarks.points
    low, high = seen.min(0), seen.max(0)
    reach = 0.15 * float((high - low).max())
    side = landmarks.mask.shape[0]
    rows, columns = np.nonzero(landmarks.mask > 0.5)
    cells = landmarks.roi.to_image((np.stack([columns, rows], axis=1) + 0.5) / side)
    near = cells[((cells > low - reach) & (cells < high + reach)).all(1)]
    outline = np.concatenate([np.stack([low, high]), near])
    box = np.concatenate([outline.min(0), outline.max(0)])
    return np.clip(box, 0.0, np.tile(np.array(image.size, float), 2))


def _mask_on(box: np.ndarray, landmarks: Landmarks) -> np.ndarray:
    """The mask (MASK_SIZE, MASK_SIZE) uint8 on the box's grid, every cell the mean of 4 x 4 samples."""
    fine = 4 * MASK_SIZE
    axis = (np.arange(fine) + 0.5) / fine
    grid = np.stack(np.meshgrid(axis, axis), axis=-1) * (box[2:] - box[:2]) + box[:2]
    sampled = landmarks.mask_at(grid)
    cells = sampled.reshape(MASK_SIZE, 4, MASK_SIZE, 4).mean(axis=(1, 3))
    return np.round(255 * cells).astype(np.uint8)
