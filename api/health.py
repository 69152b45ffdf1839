"""The Health service: whether the daemon is well. What "well" means is the caller's to say."""

from collections.abc import Callable
from typing import Any

from api.v1 import health_pb2, health_pb2_grpc

Complaint = Callable[[], str]
"""What is wrong just now, in a sentence; empty if nothing is."""


class HealthService(health_pb2_grpc.HealthServicer):
    """Serves the health of named parts; the empty name is the daemon as a whole."""

    def __init__(self, parts: dict[str, Complaint]) -> None:
        self._parts = parts

    async def Check(
        self,
        request: health_pb2.HealthCheckRequest,
        context: Any,  # noqa: ANN401
    ) -> health_pb2.HealthCheckResponse:
        """SERVING, NOT_SERVING with the reason, or UNKNOWN for a part that does not run here."""
        if request.service and request.service not in self._parts:
            return health_pb2.HealthCheckResponse(message=f"{request.service} does not run here")
        asked = [request.service] if request.service else list(self._parts)
        wrong = "; ".join(filter(None, (self._parts[name]() for name in asked)))
        status = (
            health_pb2.HealthCheckResponse.STATUS_NOT_SERVING
            if wrong
            else health_pb2.HealthCheckResponse.STATUS_SERVING
        )
        return health_pb2.HealthCheckResponse(status=status, message=wrong)
