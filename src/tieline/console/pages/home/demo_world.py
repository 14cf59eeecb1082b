"""The demo world of this platform: built and removed in the background, one at a time, on behalf of who asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from tieline.client.rest import Client, ClientError
from tieline.console.session import context
from tieline.demo import journal
from tieline.demo.customer import Customer
from tieline.demo.journal import Journal
from tieline.demo.steps import STEPS
from tieline.demo.story import Story

log = logging.getLogger(__name__)
CREDENTIALS = "credentials"  # of the state directory, on one machine only


class DemoWorld:
    """The one demo world, and the work that is done on it. The journal in the state directory outlives the process."""

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.doing = ""  # "building" or "removing", while a task works
        self._task: asyncio.Task[None] | None = None

    @property
    def path(self) -> Path:
        """The journal's file."""
        return context.current.place.state / journal.FILE

    def load(self) -> None:
        """Read what an earlier process began; raises OSError or ValueError."""
        if not self.doing:
            self.journal = journal.read(self.path)

    def state(self) -> tuple[object, ...]:
        """What a page draws: equal as long as nothing changed."""
        found = self.journal
        return (self.doing, found and (tuple(found.results), found.problem))

    def build(self, client: Client) -> None:
        """Make what is missing, step by step, and close the client at the end; nothing while something is under way."""
        self._begin("building", client)

    def remove(self, client: Client) -> None:
        """Delete what the steps made, and nothing else."""
        self._begin("removing", client)

    def _begin(self, doing: str, client: Client) -> None:
        if self.doing:
            client.close()
            return
        self.doing = doing
        if self.journal is None:
            self.journal = Journal()
        self.journal.problem = ""
        if doing == "building":
            self.journal.results = []
        self._task = asyncio.create_task(self._work(self.journal, client), name="demo world")

    async def _work(self, world: Journal, client: Client) -> None:
        try:
            with contextlib.closing(client):
                story = await asyncio.to_thread(self._story, world, client)
                if self.doing == "building":
                    await self._build(world, story)
                else:
                    await asyncio.to_thread(story.remove)
                    journal.forget(self.path)
                    self.journal = None
        except ClientError as error:
            world.problem = f"{error.message}\n{error.hint}" if error.hint else error.message
        except Exception as error:  # a step may fail in any way, and the page says how
            log.exception("the demo world: %s failed", self.doing)
            world.problem = str(error) or type(error).__name__
        finally:
            self.doing = ""
        if world.problem:
            with contextlib.suppress(OSError):  # a full disk: the page shows the problem all the same
                journal.write(self.path, world)

    def _story(self, world: Journal, client: Client) -> Story:
        here = context.current.place
        journal.write(self.path, world)
        customer = Customer(here.wire, here.state / CREDENTIALS, here.region, world.mark, world.password)
        return Story(client, customer, world, lambda: journal.write(self.path, world))

    async def _build(self, world: Journal, story: Story) -> None:
        for step in STEPS:
            world.results.append(await asyncio.to_thread(step.run, story))
            journal.write(self.path, world)


world = DemoWorld()


def available() -> bool:
    """Whether the demo can be built: the fabric is this machine's own. On AWS it would cost money."""
    place = context.current.place
    return bool(place.wire) and (place.state / CREDENTIALS).exists()
