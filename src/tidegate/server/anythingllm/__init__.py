"""AnythingLLM's developer API but for chats: workspaces, threads, embeds and their histories."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.server.anythingllm import document_paths, paths
from tidegate.server.anythingllm.asked import caller_of
from tidegate.server.anythingllm.documents import DocumentEndpoints
from tidegate.server.anythingllm.embeds import EmbedEndpoints
from tidegate.server.anythingllm.exports import ExportEndpoints
from tidegate.server.anythingllm.listings import ListingEndpoints
from tidegate.server.anythingllm.threads import ThreadEndpoints
from tidegate.server.anythingllm.told import answer, phrase
from tidegate.server.anythingllm.uploads import UploadEndpoints
from tidegate.server.anythingllm.workspaces import WorkspaceEndpoints
from tidegate.server.generate import Service
from tidegate.store.workspaces import Workspace
from tidegate.workspaces.settings import read_settings


def routes(service: Service) -> list[Route]:
    """The routes below ``/api``, where ``service`` is as it will be when they are asked."""

    def max_body() -> int:
        return service.max_body

    def window(request: Request, workspace: Workspace) -> int | None:
        known = service.gateway.routes.within(caller_of(request).models)
        route = known.get(read_settings(workspace.settings).chat_model or known.default or "")
        return route.facts.get("context_length") if route is not None else None

    kept = service.workspaces
    workspaces = WorkspaceEndpoints(kept, max_body, window)
    threads = ThreadEndpoints(kept, max_body)
    embeds = EmbedEndpoints(kept, max_body)
    exports = ExportEndpoints(kept, max_body)
    listings = ListingEndpoints(kept)
    return [
        *_document_routes(service, workspaces, max_body),
        Route(paths.PING, _ping, methods=["GET"]),
        Route(paths.AUTH, _auth, methods=["GET"]),
        Route(paths.ENV_DUMP, _env_dump, methods=["GET"]),
        Route(paths.EXPORT_CHATS, exports.export, methods=["GET"]),
        Route(paths.WORKSPACE_CHATS, exports.workspace_chats, methods=["POST"]),
        Route(paths.WORKSPACES, workspaces.list, methods=["GET"]),
        Route(paths.WORKSPACE_NEW, workspaces.new, methods=["POST"]),
        Route(paths.WORKSPACE, workspaces.one, methods=["GET"]),
        Route(paths.WORKSPACE, workspaces.delete, methods=["DELETE"]),
        Route(paths.WORKSPACE_UPDATE, workspaces.update, methods=["POST"]),
        Route(paths.CHATS, workspaces.chats, methods=["GET"]),
        Route(paths.VECTOR_SEARCH, workspaces.vector_search, methods=["POST"]),
        Route(paths.THREAD_NEW, threads.new, methods=["POST"]),
        Route(paths.THREAD, threads.delete, methods=["DELETE"]),
        Route(paths.THREAD_UPDATE, threads.update, methods=["POST"]),
        Route(paths.THREAD_CHATS, threads.chats, methods=["GET"]),
        Route(paths.OPENAI_MODELS, listings.models, methods=["GET"]),
        Route(paths.VECTOR_STORES, listings.vector_stores, methods=["GET"]),
        Route(paths.EMBEDS, embeds.list, methods=["GET"]),
        Route(paths.EMBED_NEW, embeds.new, methods=["POST"]),
        Route(paths.EMBED, embeds.update, methods=["POST"]),
        Route(paths.EMBED, embeds.delete, methods=["DELETE"]),
        Route(paths.EMBED_CHATS, embeds.chats, methods=["GET"]),
        Route(paths.EMBED_SESSION_CHATS, embeds.session_chats, methods=["GET"]),
        Route(paths.EMBED_SESSION, embeds.session, methods=["GET", "DELETE"]),
    ]


def _document_routes(
    service: Service, workspaces: WorkspaceEndpoints, max_body: Callable[[], int]
) -> list[Route]:
    kept, library = service.workspaces, service.workspaces.library
    uploads = UploadEndpoints(kept, library, max_body)
    documents = DocumentEndpoints(kept, library, service.files, workspaces, max_body)
    return [
        Route(document_paths.UPLOAD, uploads.file, methods=["POST"]),
        Route(document_paths.UPLOAD_TO, uploads.file, methods=["POST"]),
        Route(document_paths.UPLOAD_LINK, uploads.link, methods=["POST"]),
        Route(document_paths.RAW_TEXT, uploads.text, methods=["POST"]),
        Route(document_paths.DOCUMENTS, documents.list, methods=["GET"]),
        Route(document_paths.FOLDER, documents.folder, methods=["GET"]),
        Route(document_paths.ACCEPTED_TYPES, documents.accepted_types, methods=["GET"]),
        Route(document_paths.METADATA_SCHEMA, documents.schema, methods=["GET"]),
        Route(document_paths.CREATE_FOLDER, documents.create_folder, methods=["POST"]),
        Route(document_paths.REMOVE_FOLDER, documents.remove_folder, methods=["DELETE"]),
        Route(document_paths.MOVE_FILES, documents.move, methods=["POST"]),
        Route(document_paths.GENERATED_FILE, documents.generated, methods=["GET"]),
        Route(document_paths.DOCUMENT, documents.one, methods=["GET"]),
        Route(document_paths.UPDATE_EMBEDDINGS, documents.update_embeddings, methods=["POST"]),
        Route(document_paths.UPDATE_PIN, documents.update_pin, methods=["POST"]),
        Route(document_paths.REMOVE_DOCUMENTS, documents.remove, methods=["DELETE"]),
    ]


async def _ping(_: Request) -> Response:
    return answer({"online": True})


async def _auth(_: Request) -> Response:
    return answer({"authenticated": True})


async def _env_dump(_: Request) -> Response:
    """What AnythingLLM writes its settings to a file for; here they are in the store already."""
    return phrase(200)
