"""What documents say: their blocks of code, the commands in them, their links and the files they name."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?P<run><!-- run -->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_OPERATORS = ("|", "||", "&&", ";", "&", ">", ">>", "<")


@dataclass(frozen=True)
class Block:
    """A fenced block: where, of what kind, whether it says that it is to be run, and its text."""

    document: str
    kind: str
    is_run: bool
    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines, those that a backslash continues in one."""
        return self.text.replace("\\\n", " ").splitlines()


def tracked() -> list[str]:
    """All files of the repository, by their paths in it; of an unpacked archive, all that `make` did not put there."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
        names = listed.split("\0")
    except (FileNotFoundError, subprocess.CalledProcessError):
        made = {".venv", ".venv-emulator", "out", "node_modules", "__pycache__"}
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not made & set(path.parts)]
    return [name for name in names if name and (ROOT / name).is_file()]


def documents() -> list[str]:
    return [name for name in tracked() if name.endswith(".md") and "templates" not in name]


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[Block]:
    found = _BLOCK.finditer(text_of(document))
    return [Block(document, match["kind"], bool(match["run"]), dedent(match["text"])) for match in found]


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Each call of `program` in blocks of shell and in spans of code: the document, and its words after the program."""
    for document in documents():
        lines = [line for block in blocks(document) if block.kind in ("sh", "text") for line in block.lines]
        spans = _SPAN.findall(_BLOCK.sub("", text_of(document)))
        for line in (*lines, *spans):
            yield from ((document, words) for words in _calls(line, program))


def _calls(line: str, program: str) -> Iterator[list[str]]:
    if not re.match(rf"(\.venv/bin/)?{program}( |$)", line.strip()):
        return
    words = shlex.split(line, comments=True)[1:]
    end = next((index for index, word in enumerate(words) if word in _OPERATORS), len(words))
    yield words[:end]


def links(document: str) -> list[str]:
    """Links to files of the repository, as written."""
    return [target for target in _LINK.findall(text_of(document)) if "://" not in target]


def named_files(document: str) -> list[str]:
    """Paths of source files in spans of code."""
    spans = _SPAN.findall(_BLOCK.sub("", text_of(document)))
    return [span for span in spans if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(py|toml|md|json|tf|csv|dot)", span)]
