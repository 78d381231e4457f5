"""HTTP requests to a master."""

from __future__ import annotations

import aiohttp

from tests.e2e.client import Json


async def post(master: str, call: Json, path: str = "/api/v1", **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{master}{path}", json=call, headers=headers) as response,
    ):
        return response.status, await response.text()


async def get(master: str, path: str) -> Json:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{master}{path}") as response,
    ):
        assert response.status == 200
        body: Json = await response.json()
        return body
