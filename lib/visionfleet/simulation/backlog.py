"""The simulated queue: FIFO; messages of dead workers become visible again."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backlog:
    """`waits` is a histogram of whole seconds; a redelivered image counts by its last start."""

    visible: int = 0
    arrived: int = 0
    started: int = 0
    waits: dict[int, int] = field(default_factory=dict)
    _groups: deque[list[int]] = field(default_factory=deque)  # [second of arrival, images]
    _returning: dict[int, list[list[int]]] = field(default_factory=dict)
    _last_wait: int = 0

    @property
    def left(self) -> bool:
        return bool(self.visible or self._returning)

    @property
    def lost(self) -> int:
        """Images that are neither waiting, started, nor going to become visible again."""
        returning = sum(group[1] for groups in self._returning.values() for group in groups)
        return self.arrived - self.started - self.visible - returning

    def arrive(self, second: int, images: int) -> None:
        """Add the arrivals of a second, and what becomes visible again in it."""
        for group in self._returning.pop(second, ()):
            self._groups.appendleft(group)
            self.visible += group[1]
        if images:
            self.arrived += images
            self._groups.append([second, images])
            self.visible += images

    def start(self, second: int, images: int) -> None:
        self.visible -= images
        self.started += images
        groups, waits = self._groups, self.waits
        while images:
            group = groups[0]
            taken = min(images, group[1])
            wait = second - group[0]
            waits[wait] = waits.get(wait, 0) + taken
            images -= taken
            if taken == group[1]:
                groups.popleft()
            else:
                group[1] -= taken
            self._last_wait = wait

    def give_back(self, second: int, visibility_seconds: int) -> None:
        """Redeliver an image that was just started, after the visibility timeout."""
        if self.waits.get(self._last_wait, 0) > 0:
            self.waits[self._last_wait] -= 1
            self.started -= 1
            back = second + visibility_seconds
            self._returning.setdefault(back, []).append([second - self._last_wait, 1])
