"""What the training runners have in common: one network, and a step that is the same for all.

`python -m benchmarks.peers.train_NAME NETWORK ...` builds a network, says its size, and then does
what each line of its standard input asks for, a name in `ASKED`. Every answer is a line of JSON.
So several networks, each in a process and an environment of its own, can make their steps in turn,
and what else the machine does falls on all of them alike.

The step: forward pass under autocast, soft Dice and cross-entropy, backward pass, clipping by the
norm, AdamW in one fused kernel; no augmentation and no averaged weights.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bratstrain.networks.counts import count_macs, count_parameters
from bratstrain.networks.losses import build_loss
from bratstrain.training.optimizer import build_optimizer

Builder = Callable[[int], nn.Module]
"""Channels of the first level to a network of four modalities and four classes."""
CLASSES = 4
MODALITIES = 4
SIDES = (192, 160)
LEVELS = 5
CLIP = 12.0
RATE = 1e-4
MATRIX = {"cpu": 2048, "cuda": 8192}
"""Rows of the square matrices whose product gives the matrix rate."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYOUTS = {"plain": torch.contiguous_format, "channels last": torch.channels_last}
BLOCK_S = 0.25
"""Seconds that are timed at a time, at least one step."""
WARM_STEPS = {"cpu": 1, "cuda": 10}


def widths(width: int) -> list[int]:
    """Channels of each level, the bottleneck's last."""
    return [width * 2**level for level in range(LEVELS)]


@dataclass(slots=True)
class Bench:
    """A network that steps on a batch which lies on the device."""

    network: nn.Module
    image: torch.Tensor
    """(b, 4, 192, 160) float32."""
    label: torch.Tensor
    """(b, 192, 160) uint8."""
    precision: str
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    block: int = 1
    """Steps that are timed at a time."""

    def once(self) -> None:
        """Make a step."""
        kind = self.image.device.type
        is_half = self.precision != "fp32"
        with torch.autocast(kind, DTYPES[self.precision], enabled=is_half):
            logits = self.network(self.image)
        loss = self.loss(logits, self.label)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    def timed(self, steps: int) -> float:
        """Seconds a step."""
        synchronise(self.image.device)
        start = time.perf_counter()
        for _ in range(steps):
            self.once()
        synchronise(self.image.device)
        return (time.perf_counter() - start) / steps

    def warm(self) -> dict[str, float]:
        """Seconds of the first step, in which a compiled network is compiled; sets the block."""
        first = self.timed(1)
        once = self.timed(WARM_STEPS[self.image.device.type])
        self.block = max(1, round(BLOCK_S / once))
        return {"first_s": first}

    def step(self) -> dict[str, float]:
        """Seconds a step, of some steps."""
        return {"seconds": self.timed(self.block)}

    def lay(self, layout: str) -> dict[str, float]:
        """Lay weights and batch out anew, and begin with fresh moments."""
        self.optimizer.zero_grad()
        self.network = self.network.to(memory_format=LAYOUTS[layout])
        self.image = self.image.contiguous(memory_format=LAYOUTS[layout])
        self.optimizer = optimizer_of(self.network)
        return self.warm()

    def lay_plain(self) -> dict[str, float]:
        """Lay weights and batch out channel by channel, torch's default."""
        return self.lay("plain")

    def lay_channels_last(self) -> dict[str, float]:
        """Lay weights and batch out with the channels of a pixel beside each other."""
        return self.lay("channels last")

    def compile(self) -> dict[str, Any]:
        """Compile the network; what keeps torch from it is a result too."""
        self.network.compile()
        try:
            return self.warm()
        except Exception as error:  # torch raises of all kinds there
            return {"missing": f"torch cannot compile it: {type(error).__name__}"}

    def matrix(self) -> dict[str, float]:
        """Operations a second of a product of two large matrices; the mean of two."""
        side = MATRIX[self.image.device.type]
        shape, to = (side, side), {"device": self.image.device, "dtype": DTYPES[self.precision]}
        left, right = torch.randn(shape).to(**to), torch.randn(shape).to(**to)
        times = []
        for _ in range(3):
            synchronise(self.image.device)
            start = time.perf_counter()
            torch.mm(left, right)
            synchronise(self.image.device)
            times.append(time.perf_counter() - start)
        return {"operations_per_s": 2 * side**3 / (sum(times[1:]) / 2)}

    def memory(self) -> dict[str, float]:
        """Peak of host and device memory."""
        is_gpu = self.image.device.type == "cuda"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        held = torch.cuda.max_memory_reserved() if is_gpu else 0
        return {"memory_mb": peak * 1.048576, "device_memory_mb": held / 1e6}


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


ASKED = (Bench.step, Bench.matrix, Bench.compile, Bench.memory, Bench.lay_plain,
         Bench.lay_channels_last)  # fmt: skip
"""What a runner does when it is told the name."""


def optimizer_of(network: nn.Module) -> torch.optim.AdamW:
    """Make an optimiser with fresh moments."""
    optimizer = build_optimizer(network.parameters(), 0.0)
    optimizer.param_groups[0]["lr"] = RATE
    return optimizer


def bench_of(network: nn.Module, args: argparse.Namespace) -> Bench:
    """Put a network and a batch on the device."""
    torch.manual_seed(0)
    layout = LAYOUTS[args.layout]
    image = torch.randn(args.batch, MODALITIES, *SIDES).to(args.device, memory_format=layout)
    label = torch.randint(0, CLASSES, (args.batch, *SIDES), dtype=torch.uint8).to(args.device)
    network = network.to(args.device, memory_format=layout).train()
    scaler = torch.amp.GradScaler(args.device, enabled=args.precision == "fp16")
    loss = build_loss("dice_ce", CLASSES)
    return Bench(network, image, label, args.precision, optimizer_of(network), scaler, loss)


def read_args(networks: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=networks)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", choices=tuple(DTYPES), required=True)
    parser.add_argument("--layout", choices=tuple(LAYOUTS), required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def run(builders: Mapping[str, Builder]) -> None:
    """Build the network that the command line names, and do as the standard input says."""
    args = read_args(tuple(builders))
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high" if args.device == "cuda" else "highest")
    torch.backends.cudnn.benchmark = True
    network = builders[args.network](args.width)
    size = {"parameters": count_parameters(network), "macs": count_macs(network, *SIDES)}
    bench = bench_of(network, args)
    print(json.dumps(size | bench.warm()), flush=True)
    asked = {each.__name__: each for each in ASKED}
    for line in sys.stdin:
        print(json.dumps(asked[line.strip()](bench)), flush=True)
