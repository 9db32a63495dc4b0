"""Pairs of pictures whose mutual information is known: grids of handwritten digits, each followed by the next.

x shows d digits, drawn independently; y shows in each place the digit after it (0 after 9), in another hand. y tells of
x its digits and nothing else, so I(X; Y) = d ln 10 nats.
"""

import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor

CLASSES, SIDE = 10, 8
TRAINING = 120  # hands of each digit that training may show; the others, 54 to 63, are held out


class Digits:
    """Hands of each digit, for training or held out, at unit variance a pixel."""

    def __init__(self, held_out: bool) -> None:
        images, labels = (torch.from_numpy(part) for part in load_digits(return_X_y=True))  # (1797, 64), (1797,)
        images = ((images - images.mean()) / images.std()).float()
        chosen = slice(TRAINING, None) if held_out else slice(TRAINING)
        hands = [images[labels == digit][chosen] for digit in range(CLASSES)]
        self.counts = torch.tensor([len(hand) for hand in hands])  # (10,)
        self.images = torch.nn.utils.rnn.pad_sequence(hands, batch_first=True)  # (10, most, 64)

    def pairs(self, count: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x (count, 64 d), y (count, 64 d) and the digits of x (count, d), d a square."""
        digits = torch.randint(CLASSES, (count, d), generator=generator)  # (count, d)
        return self.draw(digits, generator), self.draw((digits + 1) % CLASSES, generator), digits

    def draw(self, digits: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each digit (count, d) in a hand of its own, on a square grid: (count, 64 d)."""
        hand = (torch.rand(digits.shape, generator=generator) * self.counts[digits]).long()  # (count, d)
        side = math.isqrt(digits.shape[1])
        tiles = self.images[digits, hand].view(len(digits), side, side, SIDE, SIDE)
        return tiles.transpose(2, 3).reshape(len(digits), -1)


def information(d: int) -> float:
    """I(X; Y) of grids of d digits, in nats."""
    return d * math.log(CLASSES)
