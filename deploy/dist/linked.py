"""Adds what documents link to, so that no link in an archive is dead.

    linked.py DIRECTORY        from the root of the repository; called by pack.sh

DIRECTORY holds documents of the repository under their own names. What they link to is copied to them from the repository, and
what those documents link to, and so on.
"""

import pathlib
import posixpath
import re
import shutil
import sys

# Blocks of commands and configuration have no links.
BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def links(document: pathlib.Path) -> list[str]:
    """The files that a document links to, as it names them."""
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]


def main(directory: str) -> None:
    root = pathlib.Path(directory)
    to_read = sorted(root.rglob("*.md"))
    while to_read:
        document = to_read.pop()
        for target in links(document):
            name = posixpath.normpath(posixpath.join(document.relative_to(root).parent.as_posix(), target))
            copy = root / name
            if copy.exists():
                continue
            if name.startswith("../") or not pathlib.Path(name).is_file():
                sys.exit(f"error: {document.relative_to(root)} links to {target}, which is no file of the repository")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, copy)
            if copy.suffix == ".md":
                to_read.append(copy)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
