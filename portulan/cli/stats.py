"""`portulan stats`: a capture's sums, each a query that `portulan sql` could ask, too."""

from __future__ import annotations

from typing import Final

import rich_click as click

QUERIES: Final = {
    "hierarchy": (
        "with parts as (select string_split_regex(protocols, '[ :>,]+') as names, length "
        "from layers), "
        "steps as (select names, length, unnest(range(1, len(names) + 1)) as depth from parts) "
        "select array_to_string(names[1:depth], ':') as protocols, count(*) as packets, "
        "sum(length) as bytes from steps group by all order by protocols"),
    "endpoints": (
        "with ends as (select src as address, packets_fwd as tx_packets, packets_rev as "
        "rx_packets, bytes_fwd as tx_bytes, bytes_rev as rx_bytes from flows union all "
        "select dst, packets_rev, packets_fwd, bytes_rev, bytes_fwd from flows) "
        "select address, sum(tx_packets + rx_packets) as packets, sum(tx_bytes + rx_bytes) as "
        "bytes, sum(tx_packets) as tx_packets, sum(tx_bytes) as tx_bytes, sum(rx_packets) as "
        "rx_packets, sum(rx_bytes) as rx_bytes from ends group by address "
        "order by bytes desc, address"),
    "conversations": (
        "with sides as (select src, dst, packets_fwd, packets_rev, bytes_fwd, bytes_rev from flows "
        "where src <= dst union all "
        "select dst, src, packets_rev, packets_fwd, bytes_rev, bytes_fwd from flows "
        "where src > dst) select src as a, dst as b, sum(packets_fwd + packets_rev) as packets, "
        "sum(bytes_fwd + bytes_rev) as bytes, sum(packets_fwd) as packets_ab, sum(bytes_fwd) as "
        "bytes_ab, sum(packets_rev) as packets_ba, sum(bytes_rev) as bytes_ba from sides "
        "group by all order by bytes desc, a, b"),
    "io": (
        "select (time_ns - first) // 1000000000 as second, count(*) as packets, sum(length) as "
        "bytes from packets, (select min(time_ns) as first from packets) group by 1 order by 1"),
    "dns": (
        "select name, type, count(*) filter (answer = 0) as queries, count(*) filter (answer = 1) "
        "as answers, count(*) filter (rcode <> 0) as errors from dns group by all "
        "order by queries desc, name, type"),
    "http": (
        "select method, host, target, status, count(*) as times from http group by all "
        "order by times desc, method, host, target, status"),
    "expert": (
        "select level, kind, count(*) as times, min(frame) as first, max(frame) as last, "
        "any_value(sentence) as meaning from expert group by level, kind "
        "order by case level when 'error' then 0 when 'warning' then 1 else 2 end, times desc, "
        "kind"),
    "tls": (
        "select sni, alpn, ja4, count(*) as hellos from tls where handshake = 1 group by all "
        "order by hellos desc, sni, ja4"),
}


@click.command("stats")
@click.argument("file")
@click.argument("what", type=click.Choice(list(QUERIES)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
def stats(*, file: str, what: str, as_json: bool) -> None:
    """Sum a capture up: protocols, endpoints, conversations, each second, DNS, HTTP, TLS."""
    from portulan.api.tables import sources
    from portulan.cli.sql import end_with, print_json, print_table
    from portulan.store.sql import ask

    damage: list[str] = []
    answer = ask(QUERIES[what], sources([file], tell=damage.append))
    if answer is not None:
        (print_json if as_json else print_table)(answer)
    end_with(damage)
