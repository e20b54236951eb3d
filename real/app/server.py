"""The page on this machine: loopback by default, and no request of the browser goes anywhere else."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from real.app.page import build_page
from real.models.base import Model

__all__ = ["POLICY", "serve"]

# What the browser enforces: gradio's own files, pictures that it makes, its scripts and styles in the page.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'self'; frame-ancestors 'self'"
SYSTEM_FONTS = ("system-ui", "sans-serif")
Message = MutableMapping[str, Any]


class OnlyFromHere:
    """ASGI middleware: every answer forbids the page to load anything from elsewhere."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        """One request."""

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self._app(scope, receive, with_policy)


def serve(open_for: Callable[[str], Model], *, host: str, port: int | None) -> Any:
    """Serve the page.

    Args:
        open_for: Task -> the model, see `build_page`.
        host: Address to listen on; "127.0.0.1" is for this machine alone.
        port: Port; None: the first free one from 7860.

    Returns:
        The page, a `gradio.Blocks`, with `local_url`; `block_thread()` waits until the user ends it, `close()` ends it.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr
    from starlette.middleware import Middleware

    page = build_page(open_for)
    page.queue(default_concurrency_limit=1).launch(  # one run at a time: they share the model
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        theme=gr.themes.Base(font=SYSTEM_FONTS, font_mono=("monospace",)),
        app_kwargs={"middleware": [Middleware(OnlyFromHere)]},
    )
    return page
