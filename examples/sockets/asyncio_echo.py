"""The same server with asyncio: code that reads like blocking code, in one thread.

    python examples/sockets/asyncio_echo.py

asyncio waits with epoll (see readiness.py) and goes on with whichever client has news. `await`
marks the places where others may have their turn.
"""

import asyncio

CLIENTS = 100


class Server:
    def __init__(self) -> None:
        self.left = asyncio.Semaphore(0)  # counts the clients that have left

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await asyncio.wait_for(reader.readline(), timeout=10):
            writer.write(line)
            # Waits while the client does not read: without it the answers would pile up here.
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        self.left.release()


async def ask(port: int, number: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"hello {number}\n".encode())
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.decode().strip()


async def main() -> None:
    echo = Server()
    async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        # A hundred clients at once, in the same thread as their server.
        answers = await asyncio.gather(*(ask(port, number) for number in range(CLIENTS)))
        for _ in range(CLIENTS):
            await echo.left.acquire()
    print(len(answers), "answers, the last is", answers[-1])


if __name__ == "__main__":
    asyncio.run(main())
