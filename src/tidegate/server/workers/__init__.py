"""Several processes that serve one address: an owner of socket, engines and signals, and its workers."""

from tidegate.server.workers.channel import Channel, ChannelClosed
from tidegate.server.workers.child import Child
from tidegate.server.workers.supervisor import Supervisor

__all__ = ["Channel", "ChannelClosed", "Child", "Supervisor"]
