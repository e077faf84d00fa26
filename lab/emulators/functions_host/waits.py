"""Waiting that ends early."""

import asyncio


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait that long, or until the event is set; whether it is."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
