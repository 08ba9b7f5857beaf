"""The pages of imports: take a file, show its dry run, import it, list what was imported, undo it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Depends
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from branch_node.api.dependencies import RECORDING, actor_of
from branch_node.api.router import IMPORTS
from branch_node.imports.mapping.map_parser import MapError, parse_map
from branch_node.imports.register.import_lifecycle import UndoStep
from branch_node.imports.register.import_runs import (
    BY_IMPORT,
    ImportState,
    find_import,
    imports_after,
    standing_totals,
)
from branch_node.imports.rows.line_set import LineSet
from branch_node.imports.source_file import FileRefused
from branch_node.pages.clock_pages import Committed, Shown
from branch_node.pages.file_upload import ACCEPT, AT, FILE, MAP, MAP_FILE, Upload, UploadReader, leave_unread
from branch_node.pages.import_desk import CONFLICTS, REJECTS, SWEEP_SECONDS, ImportDesk, PageNode
from branch_node.pages.import_views import import_row, preview_view, progress_view, summary_counts, type_rows
from branch_node.pages.page_forms import FormFault, FormRefusal, FormView
from branch_node.pages.uploaded_import import RUNNING, WAITING, UploadedFileAndMap, UploadedImport, UploadPhase
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.forms import Form, check_origin
from shared.runtime.pages.sessions import check_csrf
from shared.runtime.pages.site import SignInRequired, Site, redirect
from shared.runtime.pages.words import BadLocalTime, figure, local_moment
from shared.runtime.problems import NOT_FOUND

UPLOAD: Final = f"{IMPORTS}/upload"
SHOWN: Final = 50
LOOK_SECONDS: Final = 1.0
"""How long an answer waits for a run, so that a small file's is shown at once."""
UNDO_SECONDS: Final = 8.0
"""How long one request undoes; what is left is undone by the next."""
_READ_BYTES: Final = 64 * 1024

UNDO_REASONS: Final = (
    ("wrong-map", "The map was wrong"),
    ("wrong-file", "It was the wrong file"),
    ("duplicate", "It was recorded otherwise, too"),
    ("import-undone", "Something else"),
)
_FIELDS: Final = (FILE, MAP, MAP_FILE, AT, ACCEPT)
_KINDS: Final = {"rejects": REJECTS, "conflicts": CONFLICTS}


class ImportPages:
    """The routes below `/imports` of a node's site."""

    def __init__(self, site: Site, node: PageNode, show: Shown, commit: Committed) -> None:
        self._site = site
        self._node = node
        self._show = show
        self._commit = commit
        self._desk = ImportDesk(node)
        site.templates.filters["grouped"] = lambda number: figure(str(number))
        node.add_part(self._desk, "uploads", sweep_seconds=SWEEP_SECONDS)
        self._uploading = site.requirement(*RECORDING)
        site.router.add_api_route(
            IMPORTS,
            self.upload,
            methods=["POST"],
            dependencies=[Depends(self._uploading.declared)],
            response_model=None,
        )
        site.get(IMPORTS, self.listed)
        site.get(UPLOAD, self.uploaded)
        site.get(f"{UPLOAD}/progress", self.progress)
        site.post(f"{UPLOAD}/import", self.run, *RECORDING)
        site.post(f"{UPLOAD}/discard", self.discard, *RECORDING)
        site.get(f"{UPLOAD}/{{kind}}", self.predicted, *RECORDING)
        site.get(f"{IMPORTS}/{{import_id}}", self.shown)
        site.get(f"{IMPORTS}/{{import_id}}/undo", self.undo_form, Scope.CORRECT)
        site.post(f"{IMPORTS}/{{import_id}}/undo", self.undo, Scope.CORRECT)
        site.get(f"{IMPORTS}/{{import_id}}/{{kind}}", self.result, *RECORDING)

    # The list, and the form

    def listed(self, request: Request) -> Response:
        kept = self._desk.maps.names()
        return self._list(request, FormView(Form({MAP: kept[0]} if len(kept) == 1 else {})))

    def _list(
        self, request: Request, form: FormView, *, status: int = 200, failed: UploadedImport | None = None
    ) -> Response:
        after = BY_IMPORT.read(request.query_params.get("after") or None)
        current = self._desk.current
        with self._node.store.reading() as connection:
            found = imports_after(connection, after, SHOWN + 1)
            more = found[SHOWN - 1] if len(found) > SHOWN else None
            return self._show(
                request,
                connection,
                "imports.html",
                status=status,
                here=IMPORTS,
                form=form,
                maps=[(name, name) for name in self._desk.maps.names()],
                max_mib=self._desk.max_bytes >> 20,
                max_bytes=self._desk.max_bytes,
                zone_key=self._zone().key,
                current=current if current is not None and current.state.phase in WAITING else None,
                phase=None if current is None else current.state.phase.value,
                receiving=self._desk.receiving,
                failed=failed,
                failed_state=None if failed is None else failed.state,
                imports=[import_row(each, self._running()) for each in found[:SHOWN]],
                older=None if more is None else BY_IMPORT.write((more.began_at, more.import_id)),
                newest=after is None,
            )

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._node.writer.location.timezone)

    def _running(self) -> str | None:
        """The id of the import that runs here."""
        current = self._desk.current
        if current is None or current.state.phase is not UploadPhase.IMPORTING:
            return None
        return current.import_id

    # Taking a file

    async def upload(self, request: Request) -> Response:
        if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
            leave_unread(request)  # until it is read
        check_origin(request)
        try:
            session = await self._site.require_session(request)
        except SignInRequired:
            raise SignInRequired(IMPORTS) from None
        session.principal.check_scope(*self._uploading.scopes)
        with translate_driver_errors():
            claimed = await run_in_threadpool(self._desk.claim)
        if claimed is None:
            fault = FormFault("Another file is being imported.", "One is imported at a time: wait for it, or leave it.")
            view = FormRefusal({}, fault).view(Form({}))
            return await run_in_threadpool(partial(self._list, request, view, status=409))
        upload_id, folder = claimed
        given: Upload | None = None
        try:
            reader = UploadReader(folder / FILE, max_bytes=self._desk.max_bytes, check=partial(check_csrf, session))
            given = await reader.read(request)
            found = await run_in_threadpool(self._read, upload_id, folder, given)
            upload = self._desk.begin(found, session.principal)
        except FormRefusal as refused:
            self._desk.give_up(folder)
            view = _view(refused, Form({}) if given is None else given.fields)
            status = 413 if given is None else 422
            return await run_in_threadpool(partial(self._list, request, view, status=status))
        finally:
            self._desk.give_up(folder)
        await run_in_threadpool(upload.wait, LOOK_SECONDS)
        return redirect(UPLOAD)

    def _read(self, upload_id: str, folder: Path, given: Upload) -> UploadedFileAndMap:
        """What was uploaded, with its map read. Raises FormRefusal."""
        fields, faults = given.fields, dict[str, FormFault]()
        if given.file is None:
            faults[FILE] = FormFault("Which file?", "Choose the file that the till has written.")
        at = self._moment(fields[AT], faults)
        try:
            accepted = LineSet.parse(fields[ACCEPT]) if fields[ACCEPT] else None
        except ValueError as error:
            faults[ACCEPT] = FormFault(_sentence(str(error)))
        where = MAP if given.map_file is None else MAP_FILE
        try:
            if given.map_file is not None:
                name, text = given.map_file
            elif fields[MAP]:
                name, text = fields[MAP], self._desk.maps.read(fields[MAP])
            else:
                raise MapError("Which map? Choose one that is kept, or give a new one")
            found = parse_map(text, name, at=at)
            self._desk.maps.provide_lookups(found, given.file.parent if given.file is not None else folder)
        except (MapError, FileRefused) as error:
            faults[where] = FormFault(_sentence(str(error)))
        if faults or given.file is None:
            raise FormRefusal(faults)
        return UploadedFileAndMap(
            upload_id=upload_id,
            folder=folder,
            file=given.file,
            import_map=found,
            map_name=name,
            map_text=None if given.map_file is None else text,
            accepted=accepted,
        )

    def _moment(self, text: str, faults: dict[str, FormFault]) -> int | None:
        if not text:
            return None
        try:
            return local_moment(text, self._zone())
        except BadLocalTime as error:
            faults[AT] = FormFault(_sentence(str(error)), "Leave it empty where the file says when its rows happened.")
            return None

    # The upload that is here

    def uploaded(self, request: Request) -> Response:
        current = self._desk.current
        if current is None:
            return redirect(IMPORTS)
        state = current.state
        if state.phase is UploadPhase.REFUSED and state.fault is not None:
            refused = FormRefusal({state.field: state.fault}) if state.field else FormRefusal({}, state.fault)
            view = _view(refused, Form({MAP: current.given.map_name if current.given.map_text is None else ""}))
            return self._list(request, view, failed=current)
        summary = state.summary
        with self._node.store.reading() as connection:
            return self._show(
                request,
                connection,
                "import_upload.html",
                here=IMPORTS,
                upload=current,
                phase=state.phase.value,
                running=state.phase in RUNNING,
                progress=progress_view(current),
                dry_run=state.dry_run,
                summary=summary,
                counts=[] if summary is None else summary_counts(summary),
                types=[] if summary is None else type_rows(summary.by_type),
                preview=None if summary is None else preview_view(summary),
                rejects=current.rejects(dry_run=True).exists(),
                conflicts=current.conflicts(dry_run=True).exists(),
                import_id=None if summary is None else summary.import_id,
                result=self._result_kinds(None if summary is None or state.dry_run else summary.import_id),
            )

    def progress(self, _request: Request) -> Response:
        current = self._desk.current
        return JSONResponse({"phase": None} if current is None else progress_view(current)._asdict())

    def run(self, request: Request) -> Response:
        upload, principal = self._asked(request)
        if upload is not None and upload.run(principal):
            upload.wait(LOOK_SECONDS)
        return redirect(UPLOAD)

    def discard(self, request: Request) -> Response:
        upload, _ = self._asked(request)
        if upload is not None:
            self._desk.discard(upload)
        return redirect(UPLOAD)

    def _asked(self, request: Request) -> tuple[UploadedImport | None, Principal]:
        """The upload that a form is of; None where another one, or none, is here now."""
        principal = self._site.session(request).principal
        current = self._desk.current
        asked = self._site.form(request)["upload"]
        return (current if current is not None and current.given.upload_id == asked else None), principal

    def predicted(self, request: Request) -> Response:
        """What a dry run would reject, or what would be in conflict."""
        current = self._desk.current
        kind = request.path_params["kind"]
        if current is None or kind not in _KINDS:
            raise NOT_FOUND("there is no such file", hint="Give the file to import again.")
        path = current.rejects(dry_run=True) if kind == "rejects" else current.conflicts(dry_run=True)
        return _download(path, path.name)

    # What was imported

    def shown(self, request: Request) -> Response:
        with self._node.store.reading() as connection:
            return self._import_page(request, connection, "import_shown.html")

    def _import_page(self, request: Request, connection: Connection, template: str, **given: Any) -> Response:
        import_id = request.path_params["import_id"]
        record = find_import(connection, import_id)
        return self._show(
            request,
            connection,
            template,
            here=IMPORTS,
            row=import_row(record, self._running()),
            types=type_rows(standing_totals(connection, import_id)),
            result=self._result_kinds(import_id),
            **given,
        )

    def _result_kinds(self, import_id: str | None) -> list[str]:
        if import_id is None:
            return []
        return [kind for kind, name in _KINDS.items() if self._desk.result(import_id, name) is not None]

    def result(self, request: Request) -> Response:
        import_id, kind = request.path_params["import_id"], request.path_params["kind"]
        with self._node.store.reading() as connection:
            record = find_import(connection, import_id)
        path = self._desk.result(import_id, _KINDS[kind]) if kind in _KINDS else None
        if path is None:
            raise NOT_FOUND("there is no such file", hint="The import's page names the files that it has left.")
        return _download(path, f"{record.file}.{kind}.csv")

    # Undoing

    def undo_form(self, request: Request) -> Response:
        return self._undo_page(request, FormView(Form({"reason": request.query_params.get("reason", "")})))

    def _undo_page(self, request: Request, form: FormView, *, status: int = 200) -> Response:
        with self._node.store.reading() as connection:
            return self._import_page(
                request, connection, "import_undo.html", status=status, form=form, reasons=UNDO_REASONS
            )

    def undo(self, request: Request) -> Response:
        principal = self._site.session(request).principal
        import_id, form = request.path_params["import_id"], self._site.form(request)
        if form["reason"] not in {code for code, _ in UNDO_REASONS}:
            fault = FormFault("Why is it undone?", "Choose the reason that comes nearest.")
            return self._undo_page(request, FormRefusal({"reason": fault}).view(form), status=422)
        until = time.monotonic() + UNDO_SECONDS
        step = UndoStep(import_id, actor=actor_of(principal, None), reason=form["reason"])
        while True:
            self._commit(step)
            with self._node.store.reading() as connection:
                if find_import(connection, import_id).state is ImportState.UNDONE:
                    return redirect(f"{IMPORTS}/{quote(import_id, safe='')}")
            if time.monotonic() > until:
                break
        return redirect(f"{IMPORTS}/{quote(import_id, safe='')}/undo?reason={form['reason']}")


def _view(refused: FormRefusal, values: Form) -> FormView:
    focus = next((name for name in _FIELDS if name in refused.faults), None)
    return FormView(values, refused.faults, focus, refused.refused)


def _sentence(text: str) -> str:
    return f"{text.removesuffix('.')}."


def _download(path: Path, name: str) -> Response:
    """A file as an attachment. Raises 404 where it is gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NOT_FOUND("there is no such file", hint="Give the file to import again.") from error
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return StreamingResponse(_parts(file), media_type="text/csv", headers={"Content-Disposition": disposition})


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(_READ_BYTES):
            yield part
