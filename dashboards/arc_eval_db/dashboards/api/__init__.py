"""The admin API over HTTP. `app.create_app` makes it; `tokens`, `settings`, `database` need no web framework."""
