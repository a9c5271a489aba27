"""Portulan and its peers, side by side: in turns, in one run, on the same ground.

Law: traffic stays inside namespaces made for the purpose; every run is bounded in time.
"""
