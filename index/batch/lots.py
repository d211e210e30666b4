"""Photos that were worked on in any order, given back lot by lot in the order of their source."""

from collections.abc import Iterator

from index.batch.flow import Channel
from index.batch.tally import Tally
from index.batch.work import LotEnd, Outcome


def lots_in_order(outcomes: Channel[Outcome | LotEnd], *, tally: Tally) -> Iterator[list[Outcome]]:
    """Yield each lot once it is complete and those before it were given, in its own order."""
    waiting: dict[int, list[Outcome]] = {}
    sizes: dict[int, int] = {}
    lot = 0
    for item in outcomes:
        if isinstance(item, LotEnd):
            sizes[item.lot] = item.num_photos
        else:
            waiting.setdefault(item.job.lot, []).append(item)
            tally.add(num_passed=1)
        while lot in sizes and len(waiting.get(lot, ())) == sizes[lot]:
            del sizes[lot]
            yield sorted(waiting.pop(lot), key=lambda each: each.job.position)
            lot += 1
