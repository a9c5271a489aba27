"""Ask: probe kinds, pacing, retry and verdicts.

Pure: no I/O, no clock and no randomness of its own. A machine (`Sweep`) emits probe indices and
tries; a kind (`syn`, `ping`, `neighbour`) turns them into frames and replies into answers. Times
are int nanoseconds, always an argument.

>>> from portulan.scan.sweep import Sweep
>>> sweep = Sweep(3, seed=1, retries=0)
>>> sorted(sweep.emit(0, room=10).index.tolist())
[0, 1, 2]
"""
