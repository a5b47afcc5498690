"""`binsight line check`: will it be in time, and does the model know what the lanes ask for?"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.options import FILE, json_option
from binsight.cli.text import new_table, open_console, print_json
from binsight.extras import needs_extra

if TYPE_CHECKING:
    from binsight.line.budget import LaneBudget
    from binsight.line.config import LineConfig

__all__ = ["check"]

_WIDTH = 72


@click.command()
@click.argument("file", type=FILE, default=Path("line.toml"), metavar="[LINE.TOML]")
@json_option("Print the account as one JSON object.")
@needs_extra("a line", "line")
def check(file: Path, as_json: bool) -> None:
    """Check LINE.TOML (default: line.toml here): the belt's geometry, the lanes' categories, and the time budget.

    The time that deciding takes is measured with the model on this machine. Exit code 1: the line would not be in
    time, or asks for what the model does not know; `binsight line run` refuses it then.

    \b
    Examples:
      binsight line check
      binsight line check plant/line1.toml --json
    """
    from binsight.cli.line_settings import bundle_of, read_config
    from binsight.line.budget import lane_budgets, looks_before_line, start_faults
    from binsight.line.decide_time import measure_decide_ms
    from binsight.predictor import Predictor

    config = read_config(file)
    predictor = Predictor.load(bundle_of(config, file), threads=1)
    decide_ms = measure_decide_ms(predictor)
    budgets = lane_budgets(config, decide_ms=decide_ms)
    faults = [*config.check_taxonomy(predictor.taxonomy), *start_faults(config, budgets)]
    if as_json:
        lanes = [{**asdict(b), "needed_ms": b.needed_ms, "spare_ms": b.spare_ms} for b in budgets]
        looks = looks_before_line(config)
        print_json({"decide_ms": decide_ms, "looks": looks, "lanes": lanes, "faults": faults}, indent=None)
    else:
        _print(config, budgets, looks_before_line(config))
        for fault in faults:
            click.echo(f"FAULT: {fault}")
        if not faults:
            click.echo("the line can be in time")
    if faults:
        sys.exit(1)


def _print(config: LineConfig, budgets: list[LaneBudget], looks: float) -> None:
    from binsight.line.budget import least_distance_mm

    console = open_console()
    belt, camera = config.belt, config.camera
    how = f"encoder by {belt.encoder}, {belt.counts_per_mm:g} counts/mm" if belt.encoder else "no encoder: even speed"
    console.print(f"{config.line.site}/{config.line.name}: {belt.speed_mm_s:g} mm/s, {how}", markup=False)
    console.print(f"camera: {camera.field_mm:g} mm of belt, {looks:.1f} frames of a piece before the trigger line")
    if not belt.encoder:
        apart = f"{least_distance_mm(config):.0f} mm"
        console.print(f"pieces must follow each other more than {apart} apart, head to head and tail to tail")
    for row in draw_belt(config):
        console.print(row, markup=False)
    if not budgets:
        return
    table = new_table("lane", "goes there", "mm", "available", "next picture", "deciding", "link", "PLC", "spare")
    for lane, budget in zip(config.lanes, budgets, strict=True):
        times = [getattr(budget, f"{name}_ms") for name in ("available", "frame", "decide", "link", "scan", "spare")]
        there = ", ".join((*lane.categories, *(f"stream {stream}" for stream in lane.streams)))
        table.add_row(
            f"{lane.number} {lane.name}".rstrip(), there, f"{lane.distance_mm:g}", *(f"{ms:.0f} ms" for ms in times)
        )
    console.print(table)


def draw_belt(config: LineConfig) -> list[str]:
    """The belt from above, to scale: what the camera sees, the trigger line, the ejectors."""
    camera = config.camera
    before = camera.trigger_at * camera.field_mm
    beyond = max([camera.field_mm - before, *(lane.distance_mm for lane in config.lanes)])
    scale = (_WIDTH - 1) / (before + beyond)

    def column(mm: float) -> int:
        return round((before + mm) * scale)

    seen = column(camera.field_mm - before)
    belt = ["="] * _WIDTH
    belt[: seen + 1] = ["#"] * (seen + 1)
    belt[column(0)] = "|"
    names, places = [" "] * (_WIDTH + 8), [" "] * (_WIDTH + 8)
    _put(names, 0, "camera")
    _put(names, column(0), "trigger")
    _put(places, column(0), "0")
    for lane in config.lanes:
        belt[column(lane.distance_mm)] = "V"
        _put(names, column(lane.distance_mm), str(lane.number))
        _put(places, column(lane.distance_mm), f"{lane.distance_mm:g}")
    return ["".join(names).rstrip(), "".join(belt) + ">", "".join(places).rstrip() + " mm"]


def _put(row: list[str], at: int, text: str) -> None:
    at = min(at, len(row) - len(text))
    if all(sign == " " for sign in row[max(0, at - 1) : at + len(text)]):
        row[at : at + len(text)] = text
