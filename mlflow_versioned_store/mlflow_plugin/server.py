"""MLflow's tracking server, which answers requests for some bytes of an artifact by reading only those.

Left alone it fetches the whole file first and sends all of it, whatever range was asked for.
"""

from __future__ import annotations

import importlib.util
import json
import mimetypes
import os
import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from mlflow.exceptions import MlflowException

from mlflow_versioned_store.http_headers import attachment, byte_range, is_byte_range
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
from mlflow_versioned_store.version_file import VersionFile

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_PATHS = ("/api/2.0/mlflow-artifacts/artifacts/{path:path}", "/ajax-api/2.0/mlflow-artifacts/artifacts/{path:path}")
_PIECE_BYTES = 1 << 20
# Where MLflow has routes of its own for artifacts, since 3.15.
_ROUTER = "mlflow.server.artifact_router"


def create_app() -> Any:
    """Return MLflow's server, with ranges where it keeps versioned artifacts and runs under uvicorn."""
    from mlflow import server

    if os.environ.get("_MLFLOW_SGI_NAME") != "uvicorn":
        return server.app
    from mlflow.server.fastapi_app import create_fastapi_app

    application = create_fastapi_app(server.app)
    destination = os.environ.get(cast("Any", server).ARTIFACTS_DESTINATION_ENV_VAR, "")
    if destination.startswith("versioned-") and importlib.util.find_spec(_ROUTER):
        # Behind the checks of hosts and origins, which are middleware, and in front of MLflow's own routes.
        application.router.routes[:0] = _routes()
    return application


def _routes() -> list[Any]:
    from starlette.datastructures import Headers
    from starlette.routing import Match, Route

    class RangeRoute(Route):
        """Takes requests for one range; all others go on to MLflow."""

        def matches(self, scope: Any) -> Any:
            match, child = super().matches(scope)
            wanted = Headers(scope=scope).get("range", "")
            takes = match is Match.FULL and scope["method"] == "GET" and is_byte_range(wanted)
            return (match, child) if takes else (Match.NONE, {})

    return [RangeRoute(path, _answer, methods=["GET"]) for path in _PATHS]


def _answer(request: Request) -> Response:
    from starlette.responses import JSONResponse, StreamingResponse

    router: Any = importlib.import_module(_ROUTER)
    if not router._is_serving_proxied_artifacts():  # noqa: SLF001 - here and below, what MLflow's own route does
        return JSONResponse({"detail": "This server serves no artifacts."}, 503)
    try:
        path = router._get_workspace_scoped_path(router.validate_path_is_safe(request.path_params["path"]))  # noqa: SLF001
        repository = router._get_artifact_repo()  # noqa: SLF001
        assert isinstance(repository, VersionedArtifactRepository), "its destination is a versioned one"
        file = repository.open_artifact(path)
    except MlflowException as error:
        return JSONResponse(json.loads(error.serialize_as_json()), error.get_http_status_code())  # type: ignore[no-untyped-call]
    headers = _headers(file, posixpath.basename(path))
    if request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        return StreamingResponse(_pieces(file, 0, file.size), 200, headers | {"Content-Length": str(file.size)})
    start, stop = byte_range(request.headers["range"], file.size)
    if start >= stop:
        return JSONResponse({"detail": "No such bytes."}, 416, {"Content-Range": f"bytes */{file.size}"})
    headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{file.size}", "Content-Length": str(stop - start)}
    return StreamingResponse(_pieces(file, start, stop), 206, headers)


def _headers(file: VersionFile, name: str) -> dict[str, str]:
    version = file.version
    identity = version.sha256 or f"{version.commit}-{version.change}-{version.entry}"
    return {
        "Accept-Ranges": "bytes",
        "Content-Disposition": attachment(name),
        "Content-Type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "ETag": f'"{identity}"',
        "X-Content-Type-Options": "nosniff",
    }


def _pieces(file: VersionFile, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (data := file.read(min(_PIECE_BYTES, stop - start))):
            start += len(data)
            yield data
