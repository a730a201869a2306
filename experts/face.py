"""Faces: keypoints of the face in a region, and regions from a body, from a face known before, or from faces found.

Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019, whose mesh of 468
points holds the 68 of the iBUG annotation, and Bazarevsky et al., "BlazeFace", 2019. What each network expects (RGB):

================================ ======= ======= ==============================================
model                            input   values  region
================================ ======= ======= ==============================================
face_detection_short_range       128x128 [-1, 1] upright, padded with black to a square
face_detection_full_range_sparse 192x192 [-1, 1] the same
face_landmark                    192x192 [0, 1]  the face widened by half, its eyes level
================================ ======= ======= ==============================================
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcbench.experts.crops import Pyramid, Roi
from mcbench.experts.finders import PartFinder, SsdDetector
from mcbench.experts.litert import LiteRtModel
from mcbench.experts.parts import Part, PartLandmark
from mcbench.experts.weights import weight_path
from mcbench.joints import BLAZEPOSE33, FACE84_OF_FACE68

SHORT_RANGE, FULL_RANGE = "face_detection_short_range.tflite", "face_detection_full_range_sparse.tflite"
LANDMARK = "face_landmark.tflite"
#: What finds and reads faces.
FACE_MODELS = (SHORT_RANGE, FULL_RANGE, LANDMARK)
#: Strides and anchors a layer puts into a cell.
_ANCHORS = {SHORT_RANGE: ((8, 16, 16, 16), 2), FULL_RANGE: ((4,), 1)}
_MIN_FACE = 0.5
# Of the face detectors' six points, the eyes.
_RIGHT_EYE, _LEFT_EYE = 0, 1
#: The points of the mesh at those of the iBUG annotation: from the right ear round the chin to the left one, right
#: brow, left brow, bridge and wings of the nose, right eye, left eye, outer lips, inner lips.
IBUG68_OF_MESH = (
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
#: Points of the mesh's own contour that lie between two neighbours of iBUG's 17, by the first one's place.
_BETWEEN = {2: 132, 5: 150, 6: 176, 9: 400, 10: 379, 13: 361}


def _mesh_pair(a: int, b: int) -> tuple[int, int]:
    """Two points of the mesh in whose middle a point lies that is in the middle of iBUG's a and b."""
    if a != b and a in _BETWEEN:
        return _BETWEEN[a], _BETWEEN[a]
    return IBUG68_OF_MESH[a], IBUG68_OF_MESH[b]


#: Of each of `face84` the two points of the mesh in whose middle it lies; of iBUG's 68 likewise.
FACE84_OF_MESH = tuple(_mesh_pair(a, b) for a, b in FACE84_OF_FACE68)
FACE68_OF_MESH = tuple(_mesh_pair(i, i) for i in range(68))
#: iBUG's 68 among `face84`.
FACE68_OF_FACE84 = [i for i, (a, b) in enumerate(FACE84_OF_FACE68) if a == b]
# Both sets end alike, so these count from the end: right and left eye, mouth.
_EYES = slice(-32, -26), slice(-26, -20)
_MOUTH = slice(-20, None)
#: Eyes, ears and corners of the mouth of a body.
_OF_BODY = [BLAZEPOSE33.index(f"{side}_{name}") for name in ("eye", "ear", "mouth") for side in ("right", "left")]
#: Outer corners of the eyes and how far apart an adult's are, m: the mesh has no size of its own.
_CORNERS, _CORNERS_M = (-32, -23), 0.09
#: Percentiles of the values of a crop that become black and white, and the least difference between the two: what has
#: less is no picture of anything. Of rendered faces of 30 to 45 px a quarter more are read so, and none more is wrong.
_TONES, _LEAST_CONTRAST = (2.0, 98.0), 40.0
#: Side of the region over that of the face, of which the points lack the forehead.
_MARGIN, _FOREHEAD = 1.5, 0.12
#: How far the mouth is below the eyes, and the ears from each other, as shares of the side of a face.
_EYES_MOUTH, _EARS = 0.43, 0.85


class FaceLandmark(PartLandmark):
    """Reads the face in a region.

    Parameters
    ----------
    of_mesh : the keypoints, each in the middle of two points of the mesh: iBUG's 68, or `FACE84_OF_MESH`.

    Raises
    ------
    InputError : the weights are not in the cache.
    """

    def __init__(self, of_mesh: Sequence[tuple[int, int]] = FACE68_OF_MESH) -> None:
        self._model = LiteRtModel(weight_path(LANDMARK))
        self._of_mesh = np.array(of_mesh)

    def look(self, image: Pyramid, region: Roi) -> Part:
        size = self._model.size
        flat, logit = self._model(_stretched(image.crop(region, size)))
        mesh = flat.reshape(-1, 3).astype(np.float64)[self._of_mesh].mean(axis=1)
        points3d = mesh - sum(mesh[eye].mean(axis=0) for eye in _EYES) / 2
        right, left = points3d[list(_CORNERS)]
        points3d *= _CORNERS_M / max(float(np.linalg.norm(left - right)), 1e-6)
        points3d[:, :2] = points3d[:, :2] @ region.rotation.T  # the network's axes are the crop's
        presence = 1.0 / (1.0 + np.exp(-np.clip(float(logit.item()), -60.0, 60.0)))
        return Part.of(image, float(presence), region.to_image(mesh[:, :2] / size), points3d)

    @staticmethod
    def region(keypoints: np.ndarray) -> Roi:
        right_eye, left_eye = (keypoints[eye].mean(axis=0) for eye in _EYES)
        turned = Roi(np.zeros(2), 1.0, _level(right_eye, left_eye, keypoints[_MOUTH].mean(axis=0)))
        points = keypoints @ turned.rotation
        low, high = points.min(axis=0), points.max(axis=0)
        low[1] -= _FOREHEAD * (high - low).max()
        return Roi(turned.rotation @ ((low + high) / 2), _MARGIN * float((high - low).max()), turned.angle)


def _stretched(crop: np.ndarray) -> np.ndarray:
    """A crop of values to 255 with its contrast stretched to [0, 1]: faces in the shade, and dark ones, have little."""
    dark, bright = np.percentile(crop, _TONES)
    return np.clip((crop - dark) / max(bright - dark, _LEAST_CONTRAST), 0.0, 1.0)


class FaceFinder(PartFinder):
    """Finds faces anywhere, near and far."""

    def __init__(self, landmark: FaceLandmark) -> None:
        detectors = [SsdDetector(name, *anchors, signed=True) for name, anchors in _ANCHORS.items()]
        super().__init__(landmark, detectors, _MIN_FACE, detected_region)


def body_face_region(keypoints: np.ndarray) -> Roi | None:
    """Region for the face of a body whose keypoints (33, 2) px are known; None where those of its face are not."""
    right_eye, left_eye, *ears_and_mouth = keypoints[_OF_BODY]
    ears, mouth = np.array(ears_and_mouth[:2]), np.mean(ears_and_mouth[2:], axis=0)
    eyes = (right_eye + left_eye) / 2
    side = max(float(np.linalg.norm(eyes - mouth)) / _EYES_MOUTH, float(np.linalg.norm(ears[0] - ears[1])) / _EARS)
    if not np.isfinite(side) or side < 1.0:
        return None
    return Roi((eyes + mouth) / 2, _MARGIN * side, _level(right_eye, left_eye, mouth))


def detected_region(box: np.ndarray, keypoints: np.ndarray) -> Roi:
    """Region for a face that a detector found: its box (4,) px and its six points (6, 2) px."""
    along = keypoints[_LEFT_EYE] - keypoints[_RIGHT_EYE]
    side = float((box[2:] - box[:2]).max())
    return Roi((box[:2] + box[2:]) / 2, _MARGIN * side, float(np.arctan2(along[1], along[0])))


def _level(right_eye: np.ndarray, left_eye: np.ndarray, mouth: np.ndarray) -> float:
    """Angle that a face is turned by: from its eyes, and from eyes and mouth where it is seen from the side."""
    up = (right_eye + left_eye) / 2 - mouth
    x, y = left_eye - right_eye + np.array([-up[1], up[0]])
    return float(np.arctan2(y, x))
