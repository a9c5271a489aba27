"""Whom to ask: addresses and ports, and the index space of all probes."""
