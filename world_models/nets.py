"""Networks that world models and agents are made of."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def full_precision(x: Tensor) -> torch.autocast:
    """Return a context in which nothing is rounded to what autocast computes in around it."""
    return torch.autocast(x.device.type, enabled=False)


class Output(nn.Linear):
    """The last layer of a network: in its weights' type, whatever autocast lets the layers before it compute in."""

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            return super().forward(x.to(self.weight.dtype))


def mlp(inputs: int, outputs: int, hidden: int, layers: int = 2) -> nn.Sequential:
    """Build a perceptron with `layers` hidden ELU layers and a linear output, which autocast does not round."""
    sizes = [inputs] + [hidden] * layers
    stack = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.ELU())]
    net = nn.Sequential(*stack, Output(sizes[-1], outputs))
    initialize(net)
    return net


class SideBySide(nn.Module):
    """K perceptrons with hidden ELU layers, each layer one batched product.

    They map inputs of their own (K, B, in), or the same (B, in), to (K, B, out).
    """

    def __init__(self, members: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.empty(members, i, o) for i, o in pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(members, 1, o) for o in sizes[1:])
        for weight in self.weights:
            for member in weight:
                nn.init.orthogonal_(member)

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.expand(len(self.weights[0]), *inputs.shape[-2:])
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, F.elu(x, inplace=True) if depth else x, weight)
        return x


def symlog(x: Tensor) -> Tensor:
    """Return sign(x) ln(1 + |x|): large values pressed together, small ones as they are (DreamerV3, eq. 9)."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """Return sign(x) (e^|x| - 1), the inverse of symlog (DreamerV3, eq. 9)."""
    return x.sign() * x.abs().expm1()


def initialize(module: nn.Module) -> None:
    """Set orthogonal weights and zero biases (our choice, as in DrQ).

    Torch's default shrinks the signal of a picture below its biases in a few layers: measured, the small model then
    needs a thousand updates before it begins to see.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            gain = nn.init.calculate_gain("relu") if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else 1.0
            nn.init.orthogonal_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Encoder(nn.Module):
    """Embed `pixels` (..., H, W, 3) uint8, `state` (..., O) float32, or both, as (..., E).

    `convolutions` lists (channels, kernel, stride); a perceptron with `hidden` units reads the states' symlog, as in
    DreamerV3 (arXiv 2301.04104). Padding, the final linear layer and its norm are our choice.
    Frames are NHWC, so their permutation is already channels-last and no copy is made.
    """

    def __init__(
        self,
        observation_shapes: Mapping[str, tuple[int, ...]],
        convolutions: Sequence[tuple[int, int, int]],
        embed_dim: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.keys = sorted(observation_shapes)
        assert self.keys and set(self.keys) <= {"pixels", "state"}, self.keys
        width = 0
        if "pixels" in self.keys:
            height, breadth, inputs = observation_shapes["pixels"]
            layers: list[nn.Module] = []
            for channels, kernel, stride in convolutions:
                if height % stride or breadth % stride or (kernel - stride) % 2 or kernel < stride:
                    raise ValueError(
                        f"a convolution of kernel {kernel} and stride {stride} does not divide {height}x{breadth} "
                        "pixels: take --size 64, or other --agent.model.convolutions"
                    )
                padding = (kernel - stride) // 2  # halves the picture at stride 2
                layers += [nn.Conv2d(inputs, channels, kernel, stride, padding), nn.ReLU(inplace=True)]
                height, breadth, inputs = height // stride, breadth // stride, channels
            conv = nn.Sequential(*layers)
            initialize(conv)
            self.conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            width += inputs * height * breadth
        if "state" in self.keys:
            self.state = nn.Sequential(mlp(math.prod(observation_shapes["state"]), hidden, hidden, layers=1), nn.ELU())
            width += hidden
        self.out = nn.Sequential(nn.Linear(width, embed_dim), nn.LayerNorm(embed_dim), nn.ELU())
        initialize(self.out)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        parts = []
        for key in self.keys:
            x = observation[key]
            if key == "pixels":
                batch = x.shape[:-3]
                x = x.flatten(0, -4).permute(0, 3, 1, 2).float().div_(255).sub_(0.5)  # (B*T, 3, H, W)
                x = self.conv(x).flatten(1).unflatten(0, batch)
            else:
                x = self.state(symlog(x))  # (..., hidden)
            parts.append(x)
        return self.out(torch.cat(parts, -1)).float()  # (..., E)


class Decoder(nn.Module):
    """Predict observations from features (..., F): pictures by the encoder's convolutions backwards, states by an mlp.

    Dreamer's decoder grows from one pixel; the mirror of our encoder is our choice.
    """

    def __init__(
        self,
        observation_shapes: Mapping[str, tuple[int, ...]],
        convolutions: Sequence[tuple[int, int, int]],
        feat_dim: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.keys = sorted(observation_shapes)
        if "pixels" in self.keys:
            height, breadth, outputs = observation_shapes["pixels"]
            layers: list[nn.Module] = []
            for channels, kernel, stride in convolutions:
                padding = (kernel - stride) // 2
                layers = [nn.ReLU(), nn.ConvTranspose2d(channels, outputs, kernel, stride, padding), *layers]
                height, breadth, outputs = height // stride, breadth // stride, channels
            grid = nn.Unflatten(-1, (outputs, height, breadth))
            self.pixels = nn.Sequential(nn.Linear(feat_dim, outputs * height * breadth), grid, *layers)
            initialize(self.pixels)
        if "state" in self.keys:
            self.state = mlp(feat_dim, math.prod(observation_shapes["state"]), hidden)

    def forward(self, feat: Tensor) -> dict[str, Tensor]:
        """Return pixels (..., H, W, 3), as the encoder sees them in [-0.5, 0.5], and states (..., O)."""
        observation = {}
        if "pixels" in self.keys:
            pixels = self.pixels(feat.flatten(0, -2)).permute(0, 2, 3, 1)  # (B*T, H, W, 3)
            observation["pixels"] = pixels.unflatten(0, feat.shape[:-1])
        if "state" in self.keys:
            observation["state"] = self.state(feat)
        return observation

    def square_error(self, feat: Tensor, observation: Mapping[str, Tensor]) -> Tensor:
        """Return the squared error of all that is seen, summed over pixels, channels and states: (...)."""
        total = feat.new_zeros(feat.shape[:-1])
        for key, predicted in self(feat).items():
            seen = observation[key]
            if key == "pixels":
                seen = seen.float().div_(255).sub_(0.5)
            total = total + (predicted - seen).square().flatten(feat.dim() - 1).sum(-1)
        return total


SMALLEST = 1e-35  # of a density beside its neighbour's


class InverseModel(nn.Module):
    """log q(a_{t-1} | codes): a density on [-1, 1]^A, piecewise linear in each action dimension.

    Each dimension mixes `bins` hat functions centred on a grid, so the density is exactly normalised, can stand on
    the borders where bang-bang policies act (a Gaussian cannot), starts near uniform, and is differentiable in the
    action. Our choice; the paper does not say which head it uses.
    """

    log_area: Tensor  # (K,)

    def __init__(self, code_dim: int, action_dim: int, hidden: int, bins: int = 11) -> None:
        super().__init__()
        self.net = mlp(code_dim, action_dim * bins, hidden)
        for parameter in self.net[-1].parameters():
            nn.init.zeros_(parameter)  # starts uniform
        self.bins = bins
        area = torch.full((bins,), 2 / (bins - 1))
        area[[0, -1]] /= 2  # border hats are halves
        self.register_buffer("log_area", area.log())

    def forward(self, codes: Tensor, action: Tensor) -> Tensor:
        """Return log-density (..., A) of each action dimension, in nats; uniform is -ln 2."""
        logits = self.net(codes).unflatten(-1, (-1, self.bins))  # (..., A, K)
        log_mass = F.log_softmax(logits + self.log_area, -1)  # zero logits: mass as area, the uniform density
        position = (action.clamp(-1, 1) + 1) * (self.bins - 1) / 2  # (..., A) in [0, K-1]
        low = position.detach().long().clamp(0, self.bins - 2)  # (..., A), in range for nan as well
        high_weight = position - low  # (..., A)
        log_height = log_mass - self.log_area  # (..., A, K)
        pair = torch.stack([low, low + 1], -1)  # (..., A, 2)
        heights = log_height.gather(-1, pair)  # (..., A, 2)
        weights = torch.stack([1 - high_weight, high_weight], -1)  # (..., A, 2)
        top = heights.max(-1, keepdim=True).values.detach()
        # an action on a knot 80 nats below its neighbour would have density 0 in float32: bounded, with no gradient
        return (weights * (heights - top).exp()).sum(-1).clamp(min=SMALLEST).log() + top.squeeze(-1)
