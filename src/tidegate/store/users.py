"""Owns the users that an owner has let in, the workspaces that each may use, and invites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, insert, select, update

from tidegate.store.database import Database
from tidegate.store.schema import invites, members, preferences, users, workspaces

Role = Literal["default", "manager", "admin"]


class User(Struct, frozen=True, kw_only=True):
    """A user. ``password`` is its salted hash; ``facts`` is what else was said of them."""

    id: int
    owner: str
    username: str
    password: str
    role: str
    suspended: bool
    facts: Mapping[str, Any]
    created_ms: int


class Invite(Struct, frozen=True, kw_only=True):
    """An invitation. ``status`` is pending, claimed or disabled."""

    id: int
    owner: str
    code: str
    status: str
    workspaces: Sequence[int]
    created_ms: int


class UserStore:
    """Users, members and invites in the database; ``now_ms`` is Unix time in ms. All raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def create(self, owner: str, username: str, password: str, role: str) -> User | None:
        """A new user; None when the name is taken."""
        row: dict[str, Any] = {
            "owner": owner,
            "username": username,
            "password": password,
            "role": role,
            "suspended": False,
            "facts": {},
            "created_ms": self._now_ms(),
        }

        def work(connection: Connection) -> User | None:
            taken = select(users.c.id).where(users.c.owner == owner, users.c.username == username)
            if connection.execute(taken).first() is not None:
                return None
            made = connection.execute(insert(users).values(row)).inserted_primary_key
            assert made is not None
            return User(id=made[0], **row)

        return await self._database.run(work)

    async def list(self, owner: str) -> Sequence[User]:
        """An owner's users, the oldest first."""
        asked = select(users).where(users.c.owner == owner).order_by(users.c.id)
        return await self._database.read(lambda each: [_user(row) for row in each.execute(asked)])

    async def get(self, owner: str, user: int) -> User | None:
        """The owner's user of this id."""
        asked = select(users).where(users.c.owner == owner, users.c.id == user)

        def work(connection: Connection) -> User | None:
            row = connection.execute(asked).first()
            return None if row is None else _user(row)

        return await self._database.read(work)

    async def update(self, owner: str, user: int, changes: Mapping[str, Any]) -> bool:
        """Change columns of a user; whether there is one, and the name is nobody else's."""
        this = (users.c.owner == owner) & (users.c.id == user)

        def work(connection: Connection) -> bool:
            if "username" in changes:
                taken = select(users.c.id).where(
                    users.c.owner == owner, users.c.username == changes["username"], users.c.id != user
                )
                if connection.execute(taken).first() is not None:
                    return False
            return connection.execute(update(users).where(this).values(**changes)).rowcount > 0

        return await self._database.run(work)

    async def delete(self, owner: str, user: int) -> bool:
        """Delete a user, who is no member any more; whether there was one."""
        this = (users.c.owner == owner) & (users.c.id == user)

        def work(connection: Connection) -> bool:
            if not connection.execute(delete(users).where(this)).rowcount:
                return False
            connection.execute(delete(members).where(members.c.user_id == user))
            return True

        return await self._database.run(work)

    async def members(self, workspace: int) -> Sequence[User]:
        """Who may use a workspace."""
        asked = (
            select(users)
            .join(members, members.c.user_id == users.c.id)
            .where(members.c.workspace == workspace)
            .order_by(users.c.id)
        )
        return await self._database.read(lambda each: [_user(row) for row in each.execute(asked)])

    async def set_members(self, workspace: int, chosen: Sequence[int], *, reset: bool) -> None:
        """Let users use a workspace, beside those who do or, with ``reset``, in their place.

        Nothing happens where it is gone.
        """

        def work(connection: Connection) -> None:
            if connection.scalar(select(workspaces.c.id).where(workspaces.c.id == workspace)) is None:
                return
            there = set(connection.scalars(select(members.c.user_id).where(members.c.workspace == workspace)))
            if reset:
                connection.execute(delete(members).where(members.c.workspace == workspace))
                there = set()
            for user in dict.fromkeys(chosen):
                if user not in there:
                    connection.execute(insert(members).values(workspace=workspace, user_id=user))

        await self._database.run(work)

    async def invite(self, owner: str, code: str, workspaces: Sequence[int]) -> Invite:
        """A new invitation."""
        row: dict[str, Any] = {
            "owner": owner,
            "code": code,
            "status": "pending",
            "workspaces": list(workspaces),
            "created_ms": self._now_ms(),
        }

        def work(connection: Connection) -> Invite:
            made = connection.execute(insert(invites).values(row)).inserted_primary_key
            assert made is not None
            return Invite(id=made[0], **row)

        return await self._database.run(work)

    async def invites(self, owner: str) -> Sequence[Invite]:
        """An owner's invitations, the oldest first."""
        asked = select(invites).where(invites.c.owner == owner).order_by(invites.c.id)

        def work(connection: Connection) -> list[Invite]:
            return [Invite(**row._mapping) for row in connection.execute(asked)]

        return await self._database.read(work)

    async def disable_invite(self, owner: str, invite: int) -> bool:
        """Take an invitation back; whether there was one."""
        this = update(invites).where(invites.c.owner == owner, invites.c.id == invite)
        return await self._database.run(
            lambda each: each.execute(this.values(status="disabled")).rowcount > 0
        )

    async def preferences(self, owner: str) -> Mapping[str, Any]:
        """What an owner prefers."""
        asked = select(preferences.c.name, preferences.c.value).where(preferences.c.owner == owner)
        return await self._database.read(lambda each: dict(each.execute(asked).tuples().all()))

    async def prefer(self, owner: str, changes: Mapping[str, Any]) -> None:
        """Keep what an owner prefers."""

        def work(connection: Connection) -> None:
            for name, value in changes.items():
                this = (preferences.c.owner == owner) & (preferences.c.name == name)
                connection.execute(delete(preferences).where(this))
                connection.execute(insert(preferences).values(owner=owner, name=name, value=value))

        await self._database.run(work)


def _user(row: Row[Any]) -> User:
    return User(**row._mapping)
