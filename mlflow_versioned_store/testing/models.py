"""What an artifact root must look like from outside, as plain dictionaries: the model that a real one is held to."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow_versioned_store.artifact_root import Child, Stored

Content = bytes | None


class RootModel:
    """An artifact root without history, packs or concurrency. An empty folder is a version whose content is None.

    Attributes:
        versions: Every version there ever was of a path, oldest first.
        current: The number of the current version of each path that has one.
        commits: What `current` was after each commit.
    """

    def __init__(self) -> None:
        self.versions: dict[str, list[Content]] = {}
        self.current: dict[str, int] = {}
        self.commits: list[dict[str, int]] = []

    def content(self, path: str, number: int) -> Content:
        """Return what a version holds."""
        return self.versions[path][number - 1]

    def upload(self, items: Mapping[str, Content]) -> list[Stored]:
        """Store `items`, in one commit and return what `ArtifactRoot.upload` returns, unless it `refuses` them."""
        stored = [self._store(path, content) for path, content in items.items()]
        self.commits.append(dict(self.current))
        return stored

    def refuses(self, items: Mapping[str, Content]) -> bool:
        """Tell whether one of `items` is a file where a folder is, or lies below a file."""
        return any(self._is_in_the_way(path, content) for path, content in items.items())

    def delete(self, path: str) -> int:
        """Delete `path` and all below it, and return how many paths were current."""
        gone = [other for other in self.current if not path or other == path or other.startswith(path + "/")]
        for other in gone:
            del self.current[other]
        if gone:
            self.commits.append(dict(self.current))
        return len(gone)

    def folders(self) -> set[str]:
        """Return every folder there is now, the root among them."""
        explicit = {path for path, number in self.current.items() if self.content(path, number) is None}
        return {""} | explicit | {folder for path in self.current for folder in _above(path)}

    def children(self, folder: str) -> list[Child]:
        """Return what lies directly in a folder, sorted by name as a listing sorts."""
        found: dict[str, Child] = {}
        prefix = f"{folder}/" if folder else ""
        for path, number in self.current.items():
            if not path.startswith(prefix):
                continue
            name = path[len(prefix) :].partition("/")[0]
            content = self.content(path, number)
            if prefix + name == path and content is not None:
                found[name] = Child(name, path, is_folder=False, size=len(content), version=number)
            else:
                found[name] = Child(name, prefix + name, is_folder=True, size=None, version=None)
        return [found[name] for name in sorted(found)]

    def walk(self, current: Mapping[str, int] | None = None) -> set[tuple[str, int]]:
        """Return path and number of every current file and empty folder, now or at a commit (an item of `commits`)."""
        now = self.current if current is None else current
        full = {folder for path in now for folder in _above(path)}
        return {
            (path, number) for path, number in now.items() if self.content(path, number) is not None or path not in full
        }

    def _is_in_the_way(self, path: str, content: Content) -> bool:
        files = {other for other, number in self.current.items() if self.content(other, number) is not None}
        if content is None:
            return not files.isdisjoint([path, *_above(path)])
        return not files.isdisjoint(_above(path)) or any(other.startswith(path + "/") for other in self.current)

    def _store(self, path: str, content: Content) -> Stored:
        known = self.versions.setdefault(path, [])
        size = len(content or b"")
        number = self.current.get(path)
        if number is not None and number == len(known) and known[-1] == content:
            return Stored(path, number, unchanged=True, size=size)
        known.append(content)
        self.current[path] = len(known)
        return Stored(path, len(known), unchanged=False, size=size)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
