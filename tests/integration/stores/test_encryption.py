"""One encryption key for all processes, found out at the start and changed by rotation."""

import asyncio
from typing import Any

import pytest

from service.stores.encryption import Encryption, WrongEncryptionKey
from tests.integration.stores.stack import KEY, OTHER_KEY, Stack


async def test_the_first_process_leaves_a_canary_and_the_next_agrees(stack: Stack) -> None:
    """The first start stores a known text; a later start with the same key finds it and leaves it alone."""
    await stack.encryption.check_canary(stack.commands)
    before = await stack.dump()
    assert list(before) == [b"bw:canary"]
    await Encryption([KEY]).check_canary(stack.commands)
    assert await stack.dump() == before


async def test_another_key_is_refused(stack: Stack) -> None:
    """A process with another key does not start, names the variable, and leaves the canary as it was."""
    await stack.encryption.check_canary(stack.commands)
    before = await stack.dump()
    with pytest.raises(WrongEncryptionKey, match="BREAKWATER_ENCRYPTION_KEY"):
        await Encryption([OTHER_KEY]).check_canary(stack.commands)
    assert await stack.dump() == before


async def test_rotation_reads_the_old_and_writes_the_new(stack: Stack) -> None:
    """With the old key after a comma everything is still read, and what is written needs the new key alone."""
    await stack.encryption.check_canary(stack.commands)
    old = stack.encryption.encrypt("whsec_old")
    rotated = Encryption([OTHER_KEY, KEY])
    await rotated.check_canary(stack.commands)
    assert rotated.decrypt(old) == "whsec_old"
    assert Encryption([OTHER_KEY]).decrypt(rotated.encrypt("whsec_new")) == "whsec_new"


async def test_of_concurrent_first_processes_one_key_wins(stack: Stack) -> None:
    """Many first starts at once agree on one canary: those with its key go on, all others are refused."""
    keys = [KEY, OTHER_KEY] * 8
    results = await asyncio.gather(
        *(Encryption([key]).check_canary(stack.commands) for key in keys), return_exceptions=True
    )
    accepted = {key for key, result in zip(keys, results, strict=True) if result is None}
    assert len(accepted) == 1
    refused = [result for key, result in zip(keys, results, strict=True) if key not in accepted]
    assert len(refused) == 8
    assert all(isinstance(result, WrongEncryptionKey) for result in refused)


async def test_a_process_that_was_overtaken_does_not_overwrite(stack: Stack) -> None:
    """A first process that found no canary, and was then overtaken by another first one, is refused, not obeyed."""

    async def overtaken(*command: Any) -> Any:
        if command[0] == "SET":
            await Encryption([OTHER_KEY]).check_canary(stack.commands)
        return await stack.commands(*command)

    with pytest.raises(WrongEncryptionKey):
        await stack.encryption.check_canary(overtaken)  # type: ignore[arg-type] # is called as commands are
    await Encryption([OTHER_KEY]).check_canary(stack.commands)


async def test_without_a_key_nothing_is_written(stack: Stack) -> None:
    """A process without any key cannot leave a canary nobody could read."""
    with pytest.raises(WrongEncryptionKey, match="BREAKWATER_ENCRYPTION_KEY"):
        await Encryption([]).check_canary(stack.commands)
    assert await stack.dump() == {}
