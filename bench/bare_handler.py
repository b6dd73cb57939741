"""The limit of Tornado: a handler that reads the body and answers. `PORT` says where."""

import asyncio
import os

from tornado.web import Application, RequestHandler, stream_request_body


@stream_request_body
class Bare(RequestHandler):
    """Counts the bytes."""

    def initialize(self) -> None:
        """Begin to count."""
        self.seen = 0

    def data_received(self, chunk: bytes) -> None:
        """Take a piece."""
        self.seen += len(chunk)

    def post(self) -> None:
        """Answer with their number."""
        self.finish({"bytes": self.seen})


async def main() -> None:
    """Serve for ever."""
    Application([("/.*", Bare)], log_function=lambda _: None).listen(
        int(os.environ["PORT"]), "127.0.0.1"
    )
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
