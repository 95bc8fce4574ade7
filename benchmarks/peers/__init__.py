"""Runners: one module a way of doing the job, each its own process, started by the benchmarks.

A runner is `python -m benchmarks.peers.NAME RAW OUT --workers N --cases N`, with the python of
the environment that holds the tool. It prints one line of JSON at the end.
"""
