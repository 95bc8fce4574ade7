"""Measurements: ours beside the tools that people would use instead, on the same input.

`python -m benchmarks.build` and its neighbours each print a Markdown table and write it, with a
JSON of every single run, into `benchmarks/results/`.
"""
