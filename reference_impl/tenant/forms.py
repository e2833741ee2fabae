# SPDX-License-Identifier: Apache-2.0
"""The two forms of an area: methods that block, and methods to await, from one description."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from kryonix_cache.reference_impl.tenant.area import Area

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kryonix_cache.reference_impl.contract import Contract
    from kryonix_cache.reference_impl.contract.model import TenantId
    from kryonix_cache.reference_impl.demand.recorder import AccessRecorder
    from kryonix_cache.reference_impl.tenant.exchanges import Plan, Program
    from kryonix_cache.reference_impl.tenant.runners import AsyncRunner, Runner

A = TypeVar("A", bound=Area)
F = TypeVar("F")
R = TypeVar("R")
P = ParamSpec("P")
T = TypeVar("T")


class BlockingForm(Generic[A]):
    """An area whose methods block until the answer is there."""

    def __init__(self, area: A, runner: Runner) -> None:
        self.area = area
        self.runner = runner


class AwaitableForm(Generic[A]):
    """An area whose methods are awaited."""

    def __init__(self, area: A, runner: AsyncRunner) -> None:
        self.area = area
        self.runner = runner


class Blocking(Generic[A, P, T]):
    """A method of a BlockingForm, made from the area's description of it."""

    def __init__(self, describe: Callable[Concatenate[A, P], Program[T] | Plan[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, form: None, owner: type) -> Blocking[A, P, T]: ...
    @overload
    def __get__(self, form: BlockingForm[A], owner: type) -> Callable[P, T]: ...
    def __get__(
        self, form: BlockingForm[A] | None, owner: type
    ) -> Blocking[A, P, T] | Callable[P, T]:
        """Return the method bound to the form."""
        return self if form is None else functools.partial(self._run, form)

    def _run(self, form: BlockingForm[A], *args: Any, **kwargs: Any) -> T:
        return form.runner.run(self._describe(form.area, *args, **kwargs))


class Awaited(Generic[A, P, T]):
    """A method of an AwaitableForm, made from the area's description of it."""

    def __init__(self, describe: Callable[Concatenate[A, P], Program[T] | Plan[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, form: None, owner: type) -> Awaited[A, P, T]: ...
    @overload
    def __get__(
        self, form: AwaitableForm[A], owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(
        self, form: AwaitableForm[A] | None, owner: type
    ) -> Awaited[A, P, T] | Callable[P, Coroutine[Any, Any, T]]:
        """Return the method bound to the form."""
        return self if form is None else functools.partial(self._run, form)

    async def _run(self, form: AwaitableForm[A], *args: Any, **kwargs: Any) -> T:
        return await form.runner.run(self._describe(form.area, *args, **kwargs))


class TenantHandle(Generic[R]):
    """A handle of one tenant; its areas are Parts, and R plays their programs.

    Reads are counted by the recorder, if there is one.
    """

    def __init__(
        self,
        contract: Contract,
        tenant: TenantId,
        runner: R,
        recorder: AccessRecorder | None = None,
    ) -> None:
        self.contract = contract
        self.tenant = tenant
        self.runner = runner
        self.recorder = recorder


class Part(Generic[A, R, F]):
    """An area of a handle, made when it is first asked for.

    Asking for one raises UnknownFamilyError if the contract does not have its family.
    """

    def __init__(
        self,
        form: Callable[[A, R], F],
        area: Callable[[Contract, TenantId, str], A],
        family: str,
    ) -> None:
        self._form = form
        self._area = area
        self._family = family
        self._name = ""
        self.__doc__ = form.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, handle: None, owner: type) -> Part[A, R, F]: ...
    @overload
    def __get__(self, handle: TenantHandle[R], owner: type) -> F: ...
    def __get__(self, handle: TenantHandle[R] | None, owner: type) -> Part[A, R, F] | F:
        """Return the area of this handle, the same one each time."""
        if handle is None:
            return self
        area = self._area(handle.contract, handle.tenant, self._family)
        area.recorder = handle.recorder
        made = self._form(area, handle.runner)
        # What lies in the handle goes before this descriptor.
        handle.__dict__[self._name] = made
        return made
