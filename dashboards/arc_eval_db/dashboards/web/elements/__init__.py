"""Parts of pages. What they are given is shown as text, whatever is in it."""

from __future__ import annotations

from arc_eval_db.dashboards.web.elements.chart import Chart, Figures, Series
from arc_eval_db.dashboards.web.elements.confirm import Confirm
from arc_eval_db.dashboards.web.elements.data_table import Cell, Column, DataTable, Row, at, badge, figure, link
from arc_eval_db.dashboards.web.elements.moment import Moment
from arc_eval_db.dashboards.web.elements.text import Tag, tag

__all__ = [
    "Cell",
    "Chart",
    "Column",
    "Confirm",
    "DataTable",
    "Figures",
    "Moment",
    "Row",
    "Series",
    "Tag",
    "at",
    "badge",
    "figure",
    "link",
    "tag",
]
