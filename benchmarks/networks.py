"""Parameters and operations of the three networks: `python -m benchmarks.networks`."""

import sys

from bratstrain.config import MODELS, ModelConfig
from bratstrain.networks.build import build_model
from bratstrain.networks.counts import count_macs, count_parameters

SIDES = (192, 160)


def rows() -> list[str]:
    """Markdown table at the default sizes, one slice forward."""
    lines = ["| network | parameters | forward, 192 x 160 |", "| --- | --- | --- |"]
    for kind in MODELS:
        model = build_model(ModelConfig(kind=kind))
        parameters, macs = count_parameters(model), count_macs(model, *SIDES)
        lines.append(f"| `{kind}` | {parameters / 1e6:.2f} M | {macs / 1e9:.2f} GMAC |")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(rows()) + "\n")
