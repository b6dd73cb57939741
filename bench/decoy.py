"""A server that closes every connection at once, of the lowest priority as its clients are.

Run as `python -m bench.decoy PORT`.
"""

import asyncio
import os
import sys

import uvloop

BACKLOG = 4096


async def serve(port: int) -> None:
    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", port, backlog=BACKLOG)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.nice(19)
    uvloop.run(serve(int(sys.argv[1])))
