"""Calls to OpenAI-compatible endpoints.

`client` asks, `endpoints` chooses where, `pacing` how many at once, `flight` is what is on its way, `wire` is the format.
"""
