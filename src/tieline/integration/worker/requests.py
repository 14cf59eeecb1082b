"""What is asked of a running pipeline about letters and counters, wherever the pipeline runs."""

from __future__ import annotations

import msgspec

from tieline.integration.delivery.dead_letters import listed
from tieline.integration.worker import messages
from tieline.integration.worker.pipeline import Pipeline


async def perform(pipeline: Pipeline, request: messages.Asked) -> messages.Answer:
    """Do what is asked; whatever goes wrong is raised."""
    letters, answer = pipeline.dead_letters, messages.Answer(id=request.id)
    match request:
        case messages.Letters():
            found, more = listed(letters.list(), request)
            return msgspec.structs.replace(answer, letters=found, more=more)
        case messages.Edit():
            letters.edit(request.letter, request.message)
        case messages.Replay():
            return msgspec.structs.replace(answer, replayed=pipeline.replay(request.ids))
        case messages.Discard():
            letters.remove(request.ids)
        case messages.Past():
            return msgspec.structs.replace(answer, past=pipeline.history(request.rule))
        case messages.Reset():
            pipeline.reset_metrics(request.rule)
    return answer
