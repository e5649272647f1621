"""MTCNN and YuNet in turn on the same pictures: how many have a face, how many more, CPU time.

Usage: python scripts/detectors.py YUNET FOLDER...
  YUNET   face_detection_yunet_2023mar.onnx of OpenCV Zoo
  FOLDER  pictures (jpg, png), searched to any depth; one row each
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from avkd.data.faces.face_detector_mtcnn import MtcnnDetector
from avkd.data.faces.face_detector_yunet import YunetDetector
from avkd.reporting.tables import Table


def main(network: Path, folders: list[Path]) -> None:
    """Print the table; which detector comes first changes from picture to picture."""
    torch.set_num_threads(1)
    detectors = MtcnnDetector(), YunetDetector(network)
    rows = []
    for folder in folders:
        files = [f for f in sorted(folder.rglob("*")) if f.suffix in (".jpg", ".png")]
        seconds, counts, apart = np.zeros((len(files), 2)), np.zeros((len(files), 2), int), []
        for number, file in enumerate(files):
            image = np.array(Image.open(file).convert("RGB"))
            found = [None, None]
            for which in (0, 1) if number % 2 else (1, 0):
                began = time.process_time()
                found[which] = detectors[which](image)
                seconds[number, which] = time.process_time() - began
                counts[number, which] = len(found[which])
            if (counts[number] == 1).all():
                first, second = (faces.landmarks[0] for faces in found)
                gap = np.linalg.norm(first - second, axis=1).mean()
                apart.append(gap / np.linalg.norm(first[1] - first[0]))
        few, half, many = np.percentile(seconds[:, 0] / seconds[:, 1], (25, 50, 75))
        with_face, further = (counts > 0).sum(axis=0), np.clip(counts - 1, 0, None).sum(axis=0)
        row = [
            folder.name,
            len(files),
            *with_face,
            *further,
            f"{half:.2f} ({few:.2f} to {many:.2f})",
        ]
        rows.append((*row, f"{np.median(apart):.2f}" if apart else ""))
    columns = ("pictures", "files", "MTCNN: with a face", "YuNet: with a face", "MTCNN: further")
    columns += ("YuNet: further", "MTCNN / YuNet, CPU time", "landmarks apart, eye distances")
    print(Table(columns=columns, rows=tuple(rows)).to_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
