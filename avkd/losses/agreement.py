"""How well predictions agree with targets, frame by frame: the objective of both stages.

Pure functions. Shapes: B clips, T frames, D dimensions.
"""

from torch import Tensor
from torch.nn import functional


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Minus the mean cosine over clips and frames; masked instants are included on purpose.

    Both are (B, T, D); the gradient flows into the prediction only, whose length does not matter.

    Returns:
        Scalar in [-1, 1], fp32. Source: RealForensics (Haliassos et al. 2022), eq. of stage one.
    """
    cosine = functional.cosine_similarity(prediction.float(), target.detach().float(), dim=-1)
    return -cosine.mean()


def center_double(target: Tensor) -> Tensor:
    """As `center_per_step`, and then subtract from each clip (B, T, D) its mean over time.

    A code that is constant over a clip (who speaks) has a zero target, too. The result has zero
    mean over B at every frame, and over T in every clip.
    """
    exact = target.double()
    centred = exact - exact.mean(dim=0, keepdim=True)
    return (centred - centred.mean(dim=1, keepdim=True)).to(target.dtype)


def center_per_step(target: Tensor) -> Tensor:
    """Subtract from each target (B, T, D) the batch mean at the same frame.

    A code of the frame index alone then has a zero target, so it cannot lower the loss. Means are
    stable for B of 64 or more.
    """
    # In double precision the mean of equal numbers is exact; in single precision it may be off by
    # a rounding, and a cosine would blow that residue of a position-only code up to unit length.
    exact = target.double()
    return (exact - exact.mean(dim=0, keepdim=True)).to(target.dtype)
