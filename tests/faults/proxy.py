"""A network that can break: a TCP proxy before a server, whose connections can be cut, reset and slowed."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_CHUNK_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """One address that stands for the server at *target_port* of this machine.

    - `cut`: half-open. Connections stay, nothing passes any more and nothing is answered, also on new ones.
    - `mend`: new connections pass again; those that were cut stay dead, as after a lost route.
    - `reset`: every connection ends with a RST.
    - `delay_s`: how long each piece waits, in each direction.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.delay_s = 0.0
        self._is_cut = False
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._do(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Let nothing pass, silently."""
        self._call(self._cut)

    def mend(self) -> None:
        """Let new connections pass."""
        self._is_cut = False

    def reset(self) -> None:
        """End every connection with a RST."""
        self._call(self._reset)

    def close(self) -> None:
        """End every connection and listen no more."""
        self._call(self._server.close)
        self._call(self._reset)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _cut(self) -> None:
        self._is_cut = True
        for pair in self._pairs:
            pair.is_dead = True

    def _reset(self) -> None:
        for pair in list(self._pairs):
            pair.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.close()
            return
        pair = _Pair(writer, far_writer, is_dead=self._is_cut)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(pair, reader, far_writer), self._pump(pair, far_reader, writer))
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _pump(self, pair: "_Pair", source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(_CHUNK_BYTES):
                if pair.is_dead:
                    continue
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                sink.write(piece)
                await sink.drain()
        if not pair.is_dead:
            pair.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, step: Callable[[], None]) -> None:
        async def call() -> None:
            step()

        self._do(call())


class _Pair:
    """The two sides of one connection."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter, *, is_dead: bool) -> None:
        self._sides = (near, far)
        self.is_dead = is_dead

    def reset(self) -> None:
        for side in self._sides:
            with contextlib.suppress(OSError):
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            side.transport.abort()

    def close(self) -> None:
        for side in self._sides:
            side.close()
