"""The log of a task's container, in the words of the swarm."""

import contextlib
from collections.abc import AsyncGenerator
from typing import cast

from api.times import at_nanos, nanos_of
from api.v1 import logs_pb2, objects_pb2
from runtime.driver import ContainerDriver, LogLine

LogOptions = logs_pb2.LogOptions
Task = objects_pb2.Task

_STREAMS: dict[str, LogOptions.Stream.ValueType] = {
    "stdout": LogOptions.STREAM_STDOUT,
    "stderr": LogOptions.STREAM_STDERR,
}


async def messages(
    driver: ContainerDriver, task: Task, options: LogOptions
) -> AsyncGenerator[logs_pb2.LogMessage, None]:
    """What is asked for of it, oldest first; errors as of the driver."""
    lines = driver.logs(
        task.id,
        follow=options.follow,
        tail=options.tail if options.tail >= 0 else -1,
        since=nanos_of(options.since),
        until=nanos_of(options.until),
    )
    wanted = frozenset(options.streams) or frozenset(_STREAMS.values())
    # The driver's iterator is a generator, whose open file is closed with it.
    async with contextlib.aclosing(cast(AsyncGenerator[LogLine, None], lines)):
        async for line in lines:
            if _STREAMS[line.stream] in wanted:
                yield _message(task, line)


def _message(task: Task, line: LogLine) -> logs_pb2.LogMessage:
    return logs_pb2.LogMessage(
        service_id=task.service_id,
        task_id=task.id,
        node_id=task.node_id,
        at=at_nanos(line.at),
        stream=_STREAMS[line.stream],
        data=line.data,
        partial=line.partial,
    )
