"""Calls to OpenAI-compatible endpoints.

`client` asks, `endpoints` chooses where, `pacing` how many at once, `wire` is the format.
"""
