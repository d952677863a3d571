"""The agent ends when it is told to, whatever else comes at that moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gpuready.node.agent import Agent
from gpuready.node.config import Config


@pytest.mark.parametrize("ticks", range(6))
def test_told_to_end_just_when_it_is_told_to_look(tmp_path: Path, ticks: int) -> None:
    """`ticks`: turns of the event loop between. A cancellation that comes as a wait is over must not be lost."""
    folders = {name: tmp_path / name for name in ("kubelet_dir", "cdi_dir", "sys_dir")}
    for folder in folders.values():
        folder.mkdir()
    agent = Agent(Config(node="n", lib_dir="/none", listen="127.0.0.1:0", node_writes=False, **folders))

    async def main() -> None:
        running = asyncio.create_task(agent.run())
        await asyncio.sleep(0.2)  # it has looked once and waits
        agent._stop.set()
        for _ in range(ticks):
            await asyncio.sleep(0)
        agent._look.set()
        async with asyncio.timeout(5):
            await running

    asyncio.run(main())
