"""Pages without a script: logging in, and what is said where no other page can be shown."""

from __future__ import annotations

import re
from html import escape

from starlette.responses import HTMLResponse

from arc_eval_db.dashboards.web.assets import asset_url

# Printable characters of an address on this server; a second slash would lead to another one.
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def local_path(text: str) -> str:
    r"""An address on this server; where it is none, the first page.

    >>> local_path("/executions?status=failed"), local_path("//elsewhere.example/"), local_path("/\\elsewhere")
    ('/executions?status=failed', '/', '/')
    """
    return text if _LOCAL.fullmatch(text) else "/"


def login_page(next_path: str, *, problem: str = "", status: int = 200) -> HTMLResponse:
    """Asks for a token."""
    shown = f'<p class="notice notice-critical" role="alert">{escape(problem)}</p>' if problem else ""
    return _page(
        "Log in",
        f"""<form class="login" method="post" action="/login">
  <h1>arc-eval-db</h1>
  {shown}
  <label for="token">API token</label>
  <input id="token" name="token" type="password" autocomplete="current-password" required autofocus spellcheck="false">
  <input name="next" type="hidden" value="{escape(next_path)}">
  <button type="submit">Log in</button>
  <p class="hint">Make one with: <code>arc-eval-db api token create --scope read --name NAME</code></p>
</form>""",
        status=status,
    )


def away_page(problem: str, *, is_passing: bool) -> HTMLResponse:
    """Says that nobody can be let in at the moment, and tries again by itself."""
    advice = "This page tries again by itself." if is_passing else "Mend this first; this page tries again by itself."
    return _page(
        "Not now",
        f"""<div class="login">
  <h1>arc-eval-db</h1>
  <p class="notice notice-critical" role="alert">The database cannot say who may look: {escape(problem)}</p>
  <p class="hint">{advice} Next step: <code>arc-eval-db doctor --database</code></p>
</div>""",
        status=503,
        head='<meta http-equiv="refresh" content="5">',
    )


def _page(title: str, body: str, *, status: int, head: str = "") -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · arc-eval-db</title>
<link rel="stylesheet" href="{asset_url("dashboard.css")}">
{head}</head>
<body class="plain">
<main>
{body}
</main>
</body>
</html>
""",
        status,
        {"Cache-Control": "no-store"},
    )
