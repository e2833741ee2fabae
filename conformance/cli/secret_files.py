# SPDX-License-Identifier: Apache-2.0
"""
Where a tenant's password comes from, and the file that it is written to.

A new password is on disk before the server learns of it, under a name of its own beside the
file: so whatever ends the command, the password that the server has is in one of the two.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kryonix_cache.conformance.errors import SecretFileError, SecretUnfitError
from kryonix_cache.reference_impl.access.users import Login, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

SECRET_VARIABLE = "KRYONIX_TENANT_PASSWORD"  # noqa: S105 (the name of a variable)
SHORTEST = 32
"""Characters of a password that an operator brings: those of the ones made here are 43."""

_ONLY_OWNER = 0o600
_OTHERS = 0o077
_PENDING = ".pending"
_PLACE = "{tenant}"
_FOR = "# server = "


def path_for(template: Path, tenant: str) -> Path:
    """Return the file of one tenant; `{tenant}` in the path stands for it."""
    return Path(str(template).replace(_PLACE, tenant))


def names_one_file(template: Path) -> bool:
    """Say whether the path is the same for every tenant."""
    return _PLACE not in str(template)


def brought(environ: Mapping[str, str]) -> str | None:
    """Return the password of the environment, None where there is none; raise if it is unfit."""
    found = environ.get(SECRET_VARIABLE)
    return None if found is None else fit(found, f"the variable {SECRET_VARIABLE}")


def fit(secret: str, origin: str) -> str:
    """Return a password that an operator brought; raise SecretUnfitError if it cannot be one."""
    if len(secret) < SHORTEST:
        raise SecretUnfitError(
            origin, f"has {len(secret)} characters, and {SHORTEST} are the least"
        )
    if not secret.isprintable():
        raise SecretUnfitError(origin, "holds a line end or another character that cannot be seen")
    return secret


def read_login(path: Path) -> Login:
    """Read a secret file; raise SecretFileError for one that is open to others, or is none."""
    try:
        # Without O_NONBLOCK a pipe to which nobody writes would be waited for without end.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SecretFileError(
                    path, f"it is not a regular file; give one, or the variable {SECRET_VARIABLE}"
                )
            table = tomllib.load(file)
    except OSError as error:
        raise SecretFileError(path, error.strerror or "it cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's own message may repeat the line with the password.
        raise SecretFileError(path, "it is not valid TOML") from None
    if mode & _OTHERS:
        raise SecretFileError(path, "others may read it; chmod 600 it")
    username, password = table.get("username"), table.get("password")
    if not isinstance(username, str) or not isinstance(password, str):
        raise SecretFileError(path, "it does not hold username and password, each a text")
    return Login(username, password)


@dataclass(frozen=True, slots=True)
class Place:
    """A server: by its address, and by the name of its run, empty where that is not told."""

    address: str
    run: str

    def is_elsewhere(self, other: Place) -> bool:
        """Say whether the other is not this server: neither under another name nor started anew."""
        return self.address != other.address and (not self.run or self.run != other.run)

    def line(self) -> str:
        """Return the comment that notes it in a file."""
        return f"{_FOR}{json.dumps([self.address, self.run])}\n"

    @classmethod
    def noted_in(cls, path: Path) -> Place | None:
        """Return what the first line of a file notes, None where that is nothing."""
        first, _, _ = path.read_text(encoding="utf-8").partition("\n")
        if not first.startswith(_FOR):
            return None
        address, run = json.loads(first.removeprefix(_FOR))
        return cls(address, run)


class SecretFile:
    """The file of one tenant's password: TOML with username and password, mode 0600.

    It can be given to other commands as --target-file. While the password has not reached the
    server, which is at `place`, it lies in `pending`, which is locked as long as a command works
    with it.
    """

    def __init__(self, path: Path, *, force: bool, place: Place) -> None:
        self.path = path
        self._place = place
        self.pending = path.with_name(path.name + _PENDING)
        self._force = force
        self._lock: int | None = None

    def recover(self, user: str, digests: Collection[str]) -> bool:
        """Finish what an interrupted command left; say whether the file was put in place.

        `digests` are those of the user on the server: a pending password that is not among them
        never got there, and is removed. One that may have got to another server stays, and
        SecretFileError is raised.
        """
        with self._explained():
            try:
                self._lock = os.open(self.pending, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return False
            self._take_lock(self._lock)
            try:
                login = read_login(self.pending)
            except SecretFileError:
                # It was cut off while it was written, so the server has never seen it.
                login = Login("", "")
            if login.username == user and digest_of(login.password) in digests:
                self.keep()
                return True
            if login.username:
                self._refuse_what_is_for_another_server()
            self.discard()
        return False

    def login_of(self, user: str) -> Login | None:
        """Return what the file holds if that is a login of the user, else None."""
        try:
            login = read_login(self.path)
        except SecretFileError:
            return None
        return login if login.username == user else None

    def refuse_without(self, user: str, digests: Collection[str]) -> None:
        """Raise SecretFileError unless the file holds the password that the server has."""
        if not os.path.lexists(self.path):
            raise SecretFileError(
                self.path,
                f"it is missing, and {user} has a password already; give the file that holds it, "
                "or --rotate for another password",
            )
        login = read_login(self.path)
        if login.username != user or digest_of(login.password) not in digests:
            raise SecretFileError(
                self.path,
                f"it does not hold the password that the server has for {user}; give the file "
                "that does, or --rotate for another password (and --force to overwrite this file)",
            )

    def refuse_if_taken(self) -> None:
        """Raise SecretFileError if the file cannot be made, or is there and is to stay."""
        if not self.path.parent.is_dir():
            raise SecretFileError(self.path, os.strerror(errno.ENOENT))
        if not os.path.lexists(self.path):
            return
        if not stat.S_ISREG(self.path.lstat().st_mode):
            raise SecretFileError(
                self.path, "it is not a regular file, which alone is overwritten; give another path"
            )
        if not self._force:
            raise SecretFileError(
                self.path, "it is there already; give another path, or --force to overwrite it"
            )

    def prepare(self, login: Login) -> None:
        """Put the password on disk beside the file; raise SecretFileError if that fails."""
        self.refuse_if_taken()
        # What is made here has letters, digits, _ and - only, and needs no escape.
        text = f'username = "{login.username}"\npassword = "{login.password}"\n'
        text = self._place.line() + text
        with self._explained():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._lock = os.open(self.pending, flags, _ONLY_OWNER)
            self._take_lock(self._lock)
            with os.fdopen(os.dup(self._lock), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self._settle()

    def keep(self) -> None:
        """Give the file its name, now that the server has the password."""
        try:
            if self._force:
                self.pending.replace(self.path)
            else:
                # Unlike a rename, a link never overwrites.
                os.link(self.pending, self.path)
                self.pending.unlink()
            self._settle()
        except OSError as error:
            raise SecretFileError(
                self.path,
                f"{error.strerror}; the password that the server has is in {self.pending}",
            ) from None
        finally:
            self._release()

    def discard(self) -> None:
        """Remove a password that the server never got."""
        self.pending.unlink(missing_ok=True)
        self._release()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:
            self._release()
            raise SecretFileError(self.path, "another command is writing it just now") from None
        except OSError as error:
            self._release()
            raise SecretFileError(self.path, error.strerror or "it cannot be written") from None

    def _refuse_what_is_for_another_server(self) -> None:
        noted = Place.noted_in(self.pending)
        if noted is not None and self._place.is_elsewhere(noted):
            self._release()
            raise SecretFileError(
                self.pending,
                f"a command for the server at {noted.address} was interrupted, which may have the "
                "password in it; run that command again first, or remove the file",
            )

    def _take_lock(self, descriptor: int) -> None:
        """Lock the pending file; raise BlockingIOError where somebody else has or had it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock before may have given the file another name, or removed it.
        if not self.pending.exists() or not os.path.samestat(
            os.fstat(descriptor), self.pending.stat()
        ):
            raise BlockingIOError

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _settle(self) -> None:
        """Let the folder's entry reach the disk, as the file's content has."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
