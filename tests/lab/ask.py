"""Run inside a lab's scanner: rows of [addr, port] on stdin, the state each is found in on stdout.

The plainest scanner there is, so that labs are tested by nothing of Portulan's own.
"""

import asyncio
import json
import sys

WAIT_S = float(sys.argv[1])


async def ask(addr: str, port: int, gate: asyncio.Semaphore) -> str:
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(addr, port), WAIT_S)
        except ConnectionRefusedError:
            return "closed"
        except ConnectionResetError:
            return "open"  # accepted, then reset
        except (TimeoutError, OSError):
            return "filtered"
        writer.transport.abort()
        return "open"


async def main() -> None:
    gate = asyncio.Semaphore(900)
    rows = json.load(sys.stdin)
    print(json.dumps(await asyncio.gather(*(ask(addr, port, gate) for addr, port in rows))))


asyncio.run(main())
