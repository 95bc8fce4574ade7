"""What several GPUs for one training would bring, computed from the sizes of the messages.

    python -m benchmarks.rank_cost

Prints the tables of `docs/cluster.md`. The bytes of a step are counted on the networks themselves.
Step times of several GPUs are not measured: the second table says what follows from one that the
reader finds in the log of a run, and nothing overlaps in it, as nothing does in the program.
"""

from functools import cache

import torch
from torch import nn

from bratstrain.networks.build import build_model
from bratstrain.networks.counts import count_parameters
from bratstrain.recipes import configure

NETWORKS = {
    "`strong`": {},
    "`deck`": {"recipe": "deck", "model": "unet"},
    "`residual3d`": {"model": "residual3d"},
}
FLOAT = 4
LINKS = {"NVLink, 200 GB/s": 200e9, "PCIe, 20 GB/s": 20e9, "100 Gb/s": 12.5e9, "10 Gb/s": 1.25e9}
"""Bytes a second of the slowest link between two neighbours, taken as a round number."""
DELAY_S = 30e-6
"""Of one message to a neighbour, taken as a round number."""
RANKS = (2, 4, 8, 16)
STEPS_S = (0.05, 0.2, 0.8)
"""Steps of the whole batch on one GPU."""


@cache
def counted(name):
    """Megabytes of gradients, kilobytes of the other sums of one rank, and messages of a step."""
    config = configure(**NETWORKS[name])
    with torch.device("meta"):
        network = build_model(config.model)
    channels = [
        module.num_features
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)
    ]
    levels = config.model.depth - 1 if config.model.deep_supervision else 1
    sums = 2 * FLOAT * (2 * sum(channels) + 3 * config.model.classes * levels)  # there and back
    messages = 1 + 2 * (len(channels) + levels) + 1
    return count_parameters(network) * FLOAT / 1e6, sums / 1e3, messages


def message_s(n_bytes, n_ranks, rate):
    """Seconds of adding up over a ring of ranks."""
    return 2 * (n_ranks - 1) * (n_bytes / n_ranks / rate + DELAY_S)


def step_s(one_s, n_ranks, name, rate):
    """Seconds of a step that takes `one_s` on one GPU, each of n having its share of the batch."""
    gradients_mb, sums_kb, n_messages = counted(name)
    sums_s = (n_messages - 1) * message_s(sums_kb * 1e3 * n_ranks / n_messages, n_ranks, rate)
    return one_s / n_ranks + message_s(gradients_mb * 1e6, n_ranks, rate) + sums_s


def bytes_table():
    """Markdown of what is sent in a step."""
    ways = " | ".join(f"8 GPUs, {link}" for link in LINKS)
    rows = [
        f"| recipe or network | gradients | other sums, a rank | messages | {ways} |",
        f"|{' --- |' * (4 + len(LINKS))}",
    ]
    for name in NETWORKS:
        gradients_mb, sums_kb, messages = counted(name)
        times = " | ".join(f"{1e3 * step_s(0, 8, name, rate):.0f} ms" for rate in LINKS.values())
        rows.append(f"| {name} | {gradients_mb:.0f} MB | {sums_kb:.1f} KB | {messages} | {times} |")
    return "\n".join(rows)


def speed_table(name):
    """Markdown of how many times as fast a run of a recipe or network is."""
    counts = " | ".join(f"{n} GPUs" for n in RANKS)
    rows = [f"| a step on one GPU | link | {counts} |", f"|{' --- |' * (2 + len(RANKS))}"]
    for one_s in STEPS_S:
        for link, rate in LINKS.items():
            times = " | ".join(
                f"{one_s / step_s(one_s, n_ranks, name, rate):.1f}" for n_ranks in RANKS
            )
            rows.append(f"| {1e3 * one_s:.0f} ms | {link} | {times} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(f"{bytes_table()}\n\n{speed_table('`strong`')}")
