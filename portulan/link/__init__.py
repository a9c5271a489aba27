"""Frames in and out: rings, raw sockets, capture files, links around links; routes and rights."""
