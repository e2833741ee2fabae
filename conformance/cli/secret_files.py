# SPDX-License-Identifier: Apache-2.0
"""
Where a tenant's password comes from, and the file that it is written to.

A new password is on disk before the server learns of it, under a name of its own beside the
file: so whatever ends the command, the password that the server has is in one of the two.
"""

from __future__ import annotations

import fcntl
import os
import tomllib
from contextlib import contextmanager
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
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
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


class SecretFile:
    """The file of one tenant's password: TOML with username and password, mode 0600.

    It can be given to other commands as --target-file. While the password has not reached the
    server it lies in `pending`, which is locked as long as a command works with it.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self.path = path
        self.pending = path.with_name(path.name + _PENDING)
        self._force = force
        self._lock: int | None = None

    def recover(self, user: str, digests: Collection[str]) -> bool:
        """Finish what an interrupted command left; say whether the file was put in place.

        `digests` are those of the user on the server: a pending password that is not among them
        never got there, and is removed.
        """
        with self._explained():
            try:
                self._lock = os.open(self.pending, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return False
            self._take_lock()
            try:
                login = read_login(self.pending)
            except SecretFileError:
                # It was cut off while it was written, so the server has never seen it.
                login = Login("", "")
            if login.username == user and digest_of(login.password) in digests:
                self.keep()
                return True
            self.discard()
        return False

    def refuse_if_taken(self) -> None:
        """Raise SecretFileError if the file is there, and may not be overwritten."""
        if not self._force and os.path.lexists(self.path):
            raise SecretFileError(
                self.path, "it is there already; give another path, or --force to overwrite it"
            )

    def prepare(self, login: Login) -> None:
        """Put the password on disk beside the file; raise SecretFileError if that fails."""
        self.refuse_if_taken()
        # What is made here has letters, digits, _ and - only, and needs no escape.
        text = f'username = "{login.username}"\npassword = "{login.password}"\n'
        with self._explained():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._lock = os.open(self.pending, flags, _ONLY_OWNER)
            self._take_lock()
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

    def _take_lock(self) -> None:
        """Lock the pending file; raise BlockingIOError where somebody else has or had it."""
        if self._lock is None:
            return
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock before may have given the file another name, or removed it.
        if not self.pending.exists() or not os.path.samestat(
            os.fstat(self._lock), self.pending.stat()
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
