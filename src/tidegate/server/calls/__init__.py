"""What is asked of a model beside generations: embeddings, rerank; images, audio … as they are."""

from tidegate.server.calls.endpoint import CallEndpoint

__all__ = ["CallEndpoint"]
