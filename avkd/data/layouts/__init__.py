"""One file per dataset: walk its folder tree as downloaded, yield a Manifest; opens no media."""

from collections.abc import Callable, Mapping

from avkd.data.layouts import celebdf, faceforensics, lrw, real_fake, talking_faces
from avkd.data.manifest import Manifest

LAYOUTS: Mapping[str, Callable[..., Manifest]] = {
    "lrw": lrw.find,
    "faceforensics": faceforensics.find,
    "faceshifter": faceforensics.find_faceshifter,
    "celebdf": celebdf.find,
    "talking_faces": talking_faces.find,
    "real_fake": real_fake.find,
    "manifest": real_fake.find_listed,
}
