"""Run inside a lab's scanner: rows of [addr, port] on stdin, the state each is found in on stdout.

The plainest scanner there is, so that labs are tested by nothing of Portulan's own.
"""

import asyncio
import json
import sys


async def ask(addr: str, port: int, wait_s: float, gate: asyncio.Semaphore) -> str:
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(addr, port), wait_s)
        except ConnectionRefusedError:
            return "closed"
        except ConnectionResetError:
            return "open"  # accepted, then reset
        except (TimeoutError, OSError):
            return "filtered"
        writer.transport.abort()
        return "open"


async def main(wait_s: float) -> None:
    gate = asyncio.Semaphore(900)
    asked = [ask(addr, port, wait_s, gate) for addr, port in json.load(sys.stdin)]
    print(json.dumps(await asyncio.gather(*asked)))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
