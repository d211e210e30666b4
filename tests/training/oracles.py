"""Heads and losses a second time: sample by sample, class by class, by angles and in float64.

Written from the papers and slow on purpose; gradients come from autograd in float64. An angle
whose cosine lies within 1e-6 of an end counts as the angle at 1e-6, in value and in slope, since
acos has infinite slope at the end itself. Shape legend: B batch, D embedding dimension, C classes,
K centres a class.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

EDGE = 1.0 - 1e-6

# From the angle to the true centre to the target logit before the scale.
Head = Callable[[Tensor], Tensor]


def number(scalar: Tensor) -> float:
    """The value without its history."""
    return float(scalar.detach())


def angle(cosine: Tensor) -> Tensor:
    """The angle of a scalar cosine, in radians."""
    value = number(cosine)
    return torch.acos(cosine + (min(max(value, -EDGE), EDGE) - value))


def unfolded_cosine(phi: Tensor) -> Tensor:
    """cos(phi) up to pi; each further half turn repeats that arc, 2 lower."""
    if number(phi) <= math.pi:
        return torch.cos(phi)
    return unfolded_cosine(phi - math.pi) - 2.0


def norm_softmax(theta: Tensor) -> Tensor:
    """No margin (arXiv 1704.06369)."""
    return torch.cos(theta)


def sphereface(theta: Tensor, m1: float = 1.35) -> Tensor:
    """The angle multiplied (arXiv 1801.07698, eq. 4)."""
    return unfolded_cosine(m1 * theta)


def sphereface_original(theta: Tensor, m: int = 4) -> Tensor:
    """psi(theta) = (-1)^k cos(m theta) - 2k in [k pi / m, (k + 1) pi / m] (arXiv 1704.08063)."""
    for k in range(m):
        if number(theta) <= (k + 1) * math.pi / m:
            return (-1.0) ** k * torch.cos(m * theta) - 2.0 * k
    raise AssertionError(f"{theta} is above pi")


def cosface(theta: Tensor, m3: float = 0.35) -> Tensor:
    """The cosine reduced (arXiv 1801.09414, eq. 4)."""
    return torch.cos(theta) - m3


def arcface(theta: Tensor, m2: float = 0.5) -> Tensor:
    """The angle enlarged (arXiv 1801.07698, eq. 3), monotone past pi."""
    return unfolded_cosine(theta + m2)


def arcface_easy(theta: Tensor, m2: float = 0.5) -> Tensor:
    """The angle enlarged where it is below a right angle, by more than rounding, only."""
    is_below = number(theta) < math.pi / 2 - 1e-9
    return arcface(theta, m2) if is_below else torch.cos(theta)


def combined(theta: Tensor, m1: float, m2: float, m3: float) -> Tensor:
    """All three margins (arXiv 1801.07698, eq. 4)."""
    return unfolded_cosine(m1 * theta + m2) - m3


def adaface(theta: Tensor, quality: float, m: float = 0.4) -> Tensor:
    """Both margins by quality (arXiv 2204.00964, eq. 10); an angle below 0 counts as 0."""
    enlarged = theta - m * quality
    if number(enlarged) < 0:
        enlarged = enlarged * 0.0
    return unfolded_cosine(enlarged) - (m * quality + m)


def value_and_slope(head: Head, cosine: float) -> tuple[float, float]:
    """A head's target logit before the scale, and its derivative in the cosine."""
    leaf = torch.tensor(cosine, dtype=torch.float64, requires_grad=True)
    value = head(angle(leaf))
    (slope,) = torch.autograd.grad(value, leaf)
    return number(value), float(slope)


def adaface_qualities(
    lengths: Sequence[float], mean: float, deviation: float, *, h: float, momentum: float
) -> tuple[list[float], float, float]:
    """Each sample's quality, and the running mean and deviation after the batch.

    As in the authors' code: statistics move first, and 0.001 is added to the deviation.
    """
    clipped = [min(max(length, 0.001), 100.0) for length in lengths]
    batch_mean = sum(clipped) / len(clipped)
    squares = sum((length - batch_mean) ** 2 for length in clipped)
    mean = momentum * batch_mean + (1 - momentum) * mean
    deviation = momentum * math.sqrt(squares / (len(clipped) - 1)) + (1 - momentum) * deviation
    qualities = [(length - mean) / (deviation + 0.001) * h for length in clipped]
    return [min(max(quality, -1.0), 1.0) for quality in qualities], mean, deviation


def cosine(left_D: Tensor, right_D: Tensor) -> Tensor:
    """The cosine between two vectors."""
    return torch.dot(left_D / left_D.norm(), right_D / right_D.norm())


def best_cosine(embedding_D: Tensor, centres_KD: Tensor) -> Tensor:
    """The largest cosine to one of the centres of a class (sub-centre ArcFace, ECCV 2020)."""
    return max((cosine(embedding_D, centre_D) for centre_D in centres_KD), key=number)


def cosine_logits(
    embedding_D: Tensor, centres_CKD: Tensor, label: int, head: Head, scale: float | None
) -> list[Tensor]:
    """One sample's logits; without a scale, the embedding's own length is the scale."""
    factor = embedding_D.norm() if scale is None else scale
    logits = []
    for j, centres_KD in enumerate(centres_CKD):
        own = best_cosine(embedding_D, centres_KD)
        logits.append(factor * (head(angle(own)) if j == label else own))
    return logits


def plain_logits(embedding_D: Tensor, centres_CD: Tensor, bias_C: Tensor) -> list[Tensor]:
    """One sample's logits without any normalisation."""
    return [
        torch.dot(embedding_D, centre_D) + bias
        for centre_D, bias in zip(centres_CD, bias_C, strict=True)
    ]


def cross_entropy(logits: Sequence[Tensor], label: int) -> Tensor:
    """-log of the softmax of one sample's true class."""
    largest = max(number(logit) for logit in logits)
    total = sum((torch.exp(logit - largest) for logit in logits), torch.zeros(()))
    return largest + torch.log(total) - logits[label]


def multiclass_hinge(logits: Sequence[Tensor], label: int) -> Tensor:
    """max(0, 1 + largest other logit - own logit) (Crammer and Singer, JMLR 2001)."""
    rival = max((logit for j, logit in enumerate(logits) if j != label), key=number)
    loss = 1.0 + rival - logits[label]
    return loss if number(loss) > 0 else loss * 0.0


def mean(values: Sequence[Tensor]) -> Tensor:
    """The mean of scalars, such as the losses of the samples of a batch."""
    return torch.stack(list(values)).mean()


def centre_loss(embeddings_BD: Tensor, labels: Sequence[int], centres_CD: Tensor) -> Tensor:
    """The mean over a batch of half the squared distance to the own centre (ECCV 2016, eq. 2)."""
    losses = []
    for embedding_D, label in zip(embeddings_BD, labels, strict=True):
        losses.append(
            sum(
                ((a - b) ** 2 for a, b in zip(embedding_D, centres_CD[label], strict=True)),
                torch.zeros(()),
            )
            / 2
        )
    return mean(losses)


def moved_centres(
    embeddings_BD: Tensor, labels: Sequence[int], centres_CD: Tensor, rate: float
) -> Tensor:
    """Centres after c_j -= rate * sum(c_j - x) / (1 + number), each class by itself (eq. 4)."""
    moved_CD = centres_CD.clone()
    for j, centre_D in enumerate(centres_CD):
        own = [x_D for x_D, label in zip(embeddings_BD, labels, strict=True) if label == j]
        total_D = torch.zeros_like(centre_D)
        for x_D in own:
            total_D = total_D + (centre_D - x_D)
        moved_CD[j] = centre_D - rate * total_D / (1 + len(own))
    return moved_CD


def triplet_loss(embeddings_BD: Tensor, labels: Sequence[int], margin_rad: float) -> Tensor:
    """The mean hinge over pairs, each with its semi-hard negative (FaceNet, section 3.2)."""
    losses = []
    for a, anchor_D in enumerate(embeddings_BD):
        to_negatives = [
            angle(cosine(anchor_D, x_D))
            for x_D, label in zip(embeddings_BD, labels, strict=True)
            if label != labels[a]
        ]
        for p, positive_D in enumerate(embeddings_BD):
            if p == a or labels[p] != labels[a] or not to_negatives:
                continue
            to_positive = angle(cosine(anchor_D, positive_D))
            farther = [theta for theta in to_negatives if number(theta) > number(to_positive)]
            negative = min(farther, key=number) if farther else max(to_negatives, key=number)
            loss = to_positive + margin_rad - negative
            losses.append(loss if number(loss) > 0 else loss * 0.0)
    return mean(losses)


def intra_loss(embeddings_BD: Tensor, labels: Sequence[int], centres_CD: Tensor) -> Tensor:
    """(1 / pi N) sum of the angles to the own centres (arXiv 1801.07698, eq. 5)."""
    total = torch.zeros((), dtype=torch.float64)
    for embedding_D, label in zip(embeddings_BD, labels, strict=True):
        total = total + angle(cosine(embedding_D, centres_CD[label]))
    return total / (math.pi * len(labels))


def inter_loss(labels: Sequence[int], centres_CD: Tensor) -> Tensor:
    """-(1 / pi N (n - 1)) sum of the angles from own centres to all others (eq. 6)."""
    total = torch.zeros((), dtype=torch.float64)
    for label in labels:
        for j, centre_D in enumerate(centres_CD):
            if j != label:
                total = total + angle(cosine(centres_CD[label], centre_D))
    return -total / (math.pi * len(labels) * (len(centres_CD) - 1))


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """The length of the difference in units of the length of what was expected."""
    expected = expected.detach().double()
    return float((actual.detach().double() - expected).norm() / expected.norm())
