"""The pcapng format: packets of several interfaces, with comments, names and counts.

>>> import io, numpy as np
>>> from portulan.wire.frames import Frames
>>> file = io.BytesIO()
>>> writer = PcapngWriter(file, link_type=1, interface="eth0")
>>> writer.write(Frames.of([b"probe", b"reply"], [1, 2]), comments={1: "proves 80/tcp open"})
1
>>> _ = file.seek(0)
>>> reader = PcapngReader(file)
>>> [list(batch) for batch in reader], reader.comments
([[b'probe', b'reply']], {2: 'proves 80/tcp open'})
"""

from .pcapng_packets import PcapngFrames
from .pcapng_reader import PcapngReader
from .pcapng_writer import PcapngWriter

__all__ = ["PcapngFrames", "PcapngReader", "PcapngWriter"]
