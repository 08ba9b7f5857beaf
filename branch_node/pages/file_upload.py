"""Reading an uploaded form: multipart/form-data, a file of any size streamed to disk, the other fields short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Final, NamedTuple, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from branch_node.imports.mapping.map_parser import MAX_MAP_BYTES
from branch_node.pages.page_forms import FormFault, FormRefusal
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.pages.forms import CSRF_FIELD, Form
from shared.runtime.problems import BAD_REQUEST, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE

MEDIA_TYPE: Final = "multipart/form-data"
FILE: Final = "file"
MAP_FILE: Final = "map_file"
MAP: Final = "map"
AT: Final = "at"
ACCEPT: Final = "accept"
FIELDS: Final = frozenset({CSRF_FIELD, FILE, MAP_FILE, MAP, AT, ACCEPT})

MAX_FIELD_BYTES: Final = 4_096
MAX_HEADER_BYTES: Final = 4_096
MAX_HEADERS: Final = 8
"""Of one part."""
MAX_NAME_BYTES: Final = 180
"""Of a file's name: what is written beside it has a longer one, and 255 is the most."""
OTHER_BYTES: Final = MAX_MAP_BYTES + 64 * 1024
"""All of the body that is not the file."""
RECEIVE_SECONDS: Final = 1_800.0
_WRITE_BYTES: Final = 256 * 1024
_AGAIN: Final = "Load the page again and send its form."


class UploadedFile(NamedTuple):
    """A file as it was sent: its name without folders, and its content if it was kept in memory."""

    name: str
    content: bytes


class Upload(NamedTuple):
    """A form that was received. `file` is on disk; `map_file` is None where none was chosen."""

    fields: Form
    file: Path | None
    map_file: UploadedFile | None


class _FormPart:
    """One part of the form; `filename` is empty where no file was chosen, None of another field."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.name = ""
        self.filename: str | None = None
        self.content = bytearray()
        self.size = 0


class UploadReader:
    """Reads one upload into a folder of its own; call `read` once.

    `check` is called with the token of the form before any of the file is written: the token stands first.
    """

    def __init__(self, folder: Path, *, max_bytes: int, check: Callable[[str], None]) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._check = check
        self._fields: dict[str, str] = {}
        self._map_file: UploadedFile | None = None
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._unwritten: list[bytes] = []
        self._part = _FormPart()
        self._header = bytearray(), bytearray()
        self._seen: set[str] = set()
        self._checked = self._ended = False
        self._others = 0

    async def read(self, request: Request) -> Upload:
        """The form of a request. Raises Problem, FormRefusal for the file, ClientDisconnect where it is cut off."""
        try:
            parser = self._parser(request)
            async with asyncio.timeout(RECEIVE_SECONDS):
                async for chunk in _body(request):
                    parser.write(chunk)
                    if sum(map(len, self._unwritten)) >= _WRITE_BYTES:
                        await run_in_threadpool(self._write)
            await run_in_threadpool(self._write)
            parser.finalize()
        except TimeoutError as error:
            raise REQUEST_TIMEOUT(f"the file was not there whole after {RECEIVE_SECONDS / 60:.0f} minutes") from error
        except FormParserError as error:
            raise BAD_REQUEST(f"the form cannot be read: {error}"[:300], hint=_AGAIN) from error
        finally:
            if self._file is not None:
                self._file.close()
        if not self._ended:
            raise BAD_REQUEST("the form ends before its last part does", hint=_AGAIN)
        if not self._checked:
            self._check("")
        return Upload(Form(self._fields), self._path, self._map_file)

    def _parser(self, request: Request) -> MultipartParser:
        media_type, options = parse_options_header(request.headers.get("content-type", ""))
        if media_type.decode("latin-1").lower() != MEDIA_TYPE:
            raise UNSUPPORTED_MEDIA_TYPE(f"a file is sent as {MEDIA_TYPE}", hint=_AGAIN)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise UNSUPPORTED_MEDIA_TYPE("a packed body is not read here; a packed file is: .gz", hint=_AGAIN)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise BAD_REQUEST("the Content-Type header names no boundary", hint=_AGAIN)
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes + OTHER_BYTES:
            self._refuse_size()
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    # What the parser calls

    def _begin_part(self) -> None:
        self._part = _FormPart()

    def _end_header(self) -> None:
        name, value = self._header
        self._part.headers[bytes(name).lower()] = bytes(value)
        self._header = bytearray(), bytearray()

    def _open_part(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        part.name = _text(options.get(b"name", b""), "the name of a field")
        if part.name not in FIELDS:
            raise BAD_REQUEST(f"there is no field {part.name[:100]!r} in this form", hint=_AGAIN)
        if part.name in self._seen:
            raise BAD_REQUEST(f"the field {part.name!r} stands twice", hint=_AGAIN)
        self._seen.add(part.name)
        if part.name not in {FILE, MAP_FILE}:
            return
        part.filename = _file_name(_text(options.get(b"filename", b""), "the name of a file"), part.name)
        if part.name == FILE and part.filename:
            if not self._checked:
                raise BAD_REQUEST("the form's token does not stand before the file", hint=_AGAIN)
            self._path = self._folder / part.filename
            with translate_driver_errors():
                self._file = self._path.open("xb")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.filename == "" and part.size:
            raise BAD_REQUEST(f"the field {part.name!r} is no file with a name", hint=_AGAIN)
        if part.name == FILE:
            if part.size > self._max_bytes:
                self._refuse_size()
            if self._file is not None:
                self._unwritten.append(data[start:end])
            return
        limit = MAX_MAP_BYTES if part.name == MAP_FILE else MAX_FIELD_BYTES
        if part.size > limit:
            if part.name == MAP_FILE:
                raise FormRefusal({MAP_FILE: FormFault(f"The map has more than {limit >> 10} KiB.", "Is it a map?")})
            raise BAD_REQUEST(f"the field {part.name!r} has more than {limit} bytes", hint=_AGAIN)
        part.content += data[start:end]

    def _end_part(self) -> None:
        part = self._part
        if part.name == MAP_FILE:
            if part.filename:
                self._map_file = UploadedFile(part.filename, bytes(part.content))
        elif part.name != FILE:
            self._fields[part.name] = _text(bytes(part.content), f"the field {part.name!r}")
            if part.name == CSRF_FIELD:
                self._check(self._fields[part.name])
                self._checked = True

    def _end(self) -> None:
        self._ended = True

    # Where it goes

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if self._file is not None:
            with translate_driver_errors():
                self._file.writelines(unwritten)
                self._file.flush()

    def _refuse_size(self) -> NoReturn:
        fault = FormFault(
            f"The file has more than {self._max_bytes >> 20} MiB.",
            "Compress it with gzip or split it; or have it imported with larder branch import, which takes any size.",
        )
        raise FormRefusal({FILE: fault})


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The parts of a body. While there is more, what refuses it leaves the rest to the middleware to discard."""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if more:
            leave_unread(request)
        else:
            request.scope.pop("larder.unread", None)
        yield message.get("body", b"")


def leave_unread(request: Request) -> None:
    """Have the middleware discard the body that was not read, and close the connection."""
    request.scope["larder.unread"] = True


def _text(raw: bytes, what: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BAD_REQUEST(f"{what} is not UTF-8", hint=_AGAIN) from error
    if "\0" in text:
        raise BAD_REQUEST(f"{what} holds U+0000", hint=_AGAIN)
    return text


def _file_name(sent: str, field: str) -> str:
    """The name without the folders that some browsers send; empty where no file was chosen. Raises FormRefusal."""
    name = sent.replace("\\", "/").rpartition("/")[2]
    if name in {".", ".."} or len(name.encode()) > MAX_NAME_BYTES:
        fault = FormFault(
            "A file of that name is not taken.", f"Rename it: at most {MAX_NAME_BYTES} bytes, letters first."
        )
        raise FormRefusal({field: fault})
    return name
