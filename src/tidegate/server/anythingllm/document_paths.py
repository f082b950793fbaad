"""The paths of AnythingLLM's developer API that are about documents."""

from __future__ import annotations

from typing import Final

UPLOAD: Final = "/api/v1/document/upload"
UPLOAD_TO: Final = "/api/v1/document/upload/{folder}"
UPLOAD_LINK: Final = "/api/v1/document/upload-link"
RAW_TEXT: Final = "/api/v1/document/raw-text"
DOCUMENTS: Final = "/api/v1/documents"
FOLDER: Final = "/api/v1/documents/folder/{folder}"
ACCEPTED_TYPES: Final = "/api/v1/document/accepted-file-types"
METADATA_SCHEMA: Final = "/api/v1/document/metadata-schema"
CREATE_FOLDER: Final = "/api/v1/document/create-folder"
REMOVE_FOLDER: Final = "/api/v1/document/remove-folder"
MOVE_FILES: Final = "/api/v1/document/move-files"
GENERATED_FILE: Final = "/api/v1/document/generated-files/{file}"
DOCUMENT: Final = "/api/v1/document/{name:path}"
UPDATE_EMBEDDINGS: Final = "/api/v1/workspace/{slug}/update-embeddings"
UPDATE_PIN: Final = "/api/v1/workspace/{slug}/update-pin"
REMOVE_DOCUMENTS: Final = "/api/v1/system/remove-documents"
