"""The page ``/`` of the embedded master: the live page of its agent, or links to each."""

from __future__ import annotations

import aiohttp

from shim.dev.master.state_json import home
from tests.dev.master.conftest import Embedded
from tests.dev.master.fake_agent import FakeAgent


async def test_the_only_agent_s_page_is_shown_and_several_are_linked() -> None:
    async with Embedded(port=0) as master, aiohttp.ClientSession() as session:
        url = f"http://{master.address}/"
        async with FakeAgent(master.address) as one:
            await one.register()
            async with session.get(url, allow_redirects=False) as answer:
                assert answer.status == 307
                only = answer.headers["Location"]
            async with FakeAgent(master.address) as other:
                await other.register()
                async with session.get(url) as answer:
                    assert answer.status == 200
                    text = await answer.text()
    assert f'<a href="{only}">' in text
    assert text.count('<li><a href="http://127.0.0.1:') == 2


def test_names_of_agents_stay_text() -> None:
    text = home({'http://a/"><script>': "<b>agent</b>"})
    assert '<a href="http://a/&quot;&gt;&lt;script&gt;">&lt;b&gt;agent&lt;/b&gt;</a>' in text
    assert "Agents" not in home({})
