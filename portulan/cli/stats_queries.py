"""The questions behind `portulan stats`: SQL over a capture's tables, each name one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

QUERIES: Final[Mapping[str, str]] = {
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
    "rtt": (
        "with times as (select rtt_ns / 1e6 as ms from flows where rtt_ns >= 0), bounds as "
        "(select ms, case when ms < 0.0625 then 0 else pow(2, floor(log2(ms))) end as low from "
        "times) select low as from_ms, case when low = 0 then 0.0625 else 2 * low end as to_ms, "
        "count(*) as flows, round(avg(ms), 3) as mean_ms from bounds group by low order by low"),
    "lengths": (
        "with bounds as (select length, case when length = 0 then 0 else "
        "cast(pow(2, floor(log2(length))) as bigint) end as low from packets) "
        "select low as from_bytes, case when low = 0 then 0 else 2 * low - 1 end as to_bytes, "
        "count(*) as packets, sum(length) as bytes, min(length) as shortest, "
        "max(length) as longest from bounds group by low order by low"),
    "rate": (
        "with seconds as (select (time_ns - first) // 1000000000 as second, count(*) as packets, "
        "sum(length) as bytes from packets, (select min(time_ns) as first from packets) "
        "group by 1), every as (select unnest(range(0, (select max(second) + 1 from seconds))) as "
        "second), filled as (select coalesce(packets, 0) as packets, coalesce(bytes, 0) as bytes "
        "from every left join seconds using (second)) "
        "select unnest([0, 0.5, 0.9, 0.99, 1]) as share_of_seconds, "
        "unnest(quantile_disc(packets, [0, 0.5, 0.9, 0.99, 1])) as packets_per_s, "
        "unnest(quantile_disc(bytes, [0, 0.5, 0.9, 0.99, 1])) as bytes_per_s from filled"),
    "talkers": (
        "with ends as (select src as address, bytes_fwd as tx_bytes, bytes_rev as rx_bytes from "
        "flows union all select dst, bytes_rev, bytes_fwd from flows), "
        "sums as (select address, sum(tx_bytes) as tx_bytes, sum(rx_bytes) as rx_bytes, "
        "sum(tx_bytes + rx_bytes) as bytes, count(*) as flows from ends group by address) "
        "select address, bytes, tx_bytes, rx_bytes, flows, "
        "round(100 * bytes / sum(bytes / 2) over (), 1) as percent from sums "
        "order by bytes desc, address limit 20"),
    "ports": (
        "select protocol, dport as port, application, count(*) as flows, "
        "sum(packets_fwd + packets_rev) as packets, sum(bytes_fwd + bytes_rev) as bytes from flows "
        "group by all order by bytes desc, port limit 40"),
    "arp": (
        "select sender as address, sender_mac as mac, count(*) filter (operation = 1) as asked, "
        "count(*) filter (operation = 2) as answered, min(number) as first, "
        "count(distinct sender_mac) over (partition by sender) > 1 as conflict from arp "
        "where sender <> '0.0.0.0' group by sender, sender_mac order by sender, mac"),
    "icmp": (
        "select case when ipv6 is null then 'icmp' else 'icmpv6' end as protocol, type, code, "
        "case when ipv6 is null then case type when 0 then 'echo reply' when 3 then 'unreachable' "
        "when 4 then 'source quench' when 5 then 'redirect' when 8 then 'echo' when 11 then "
        "'time exceeded' when 12 then 'parameter problem' when 13 then 'timestamp' when 14 then "
        "'timestamp reply' end else case type when 1 then 'unreachable' when 2 then 'too big' "
        "when 3 then 'time exceeded' when 4 then 'parameter problem' when 128 then 'echo' when 129 "
        "then 'echo reply' when 133 then 'router solicitation' when 134 then "
        "'router advertisement' when 135 then 'neighbour solicitation' when 136 then "
        "'neighbour advertisement' when 143 then 'multicast report' end end as meaning, "
        "count(*) as packets, min(number) as first "
        "from icmp group by all order by packets desc, type, code"),
    "dhcp": (
        "with acks as (select * from dhcp where message = 5) "
        "select mac, any_value(d.host) as host, count(*) filter (message = 1) as discovers, "
        "count(*) filter (message = 3) as requests, count(*) filter (message = 5) as acks, "
        "count(*) filter (message = 6) as naks, (select max(address) from acks where "
        "acks.mac = d.mac) as address, (select max(server) from acks where acks.mac = d.mac) as "
        "server, (select max(lease_s) from acks where acks.mac = d.mac) as lease_s "
        "from dhcp as d group by mac order by mac"),
    "systems": (
        "select address, family, generation, confidence, packets, first from systems "
        "order by address, confidence desc"),
    "expert": (
        "select level, kind, count(*) as times, min(frame) as first, max(frame) as last, "
        "any_value(sentence) as meaning from expert group by level, kind "
        "order by case level when 'error' then 0 when 'warning' then 1 else 2 end, times desc, "
        "kind"),
    "tls": (
        "select sni, alpn, ja4, count(*) as hellos from tls where handshake = 1 group by all "
        "order by hellos desc, sni, ja4"),
}
