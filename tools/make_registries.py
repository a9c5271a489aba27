"""Write portulan/target/services_data.py and address_data.py from registries on this machine.

Sources: the services file of Debian's netbase (IANA's assigned names), ADDED below (default ports
that the makers document), IANA's special-purpose address registries (SPECIAL below, by RFC), and
IANA's address space registries as the `netaddr` package carries them. Facts only.

Usage: python tools/make_registries.py [--services FILE]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.resources
import subprocess
from pathlib import Path
from xml.etree import ElementTree as Xml

ROOM = Path(__file__).parent.parent / "portulan" / "target"

ADDED = """
microsoft-ds 445/tu; ms-wbt-server 3389/u rdp; netbios-ns 137/t; netbios-dgm 138/t
http-proxy 3128/t squid; https 443/u; https-alt 8443/t; http-mgmt 280/t; http-rpc-epmap 593/t
http-alt 8008/t; http-alt 591/t; rtsp 554/tu; rtsp-alt 8554/t; ms-sql-s 1433/t
oracle 1521/t oracle-tns; oracles 2484/t; postgresql-alt 5433/t; mysqlx 33060/t; mongodb 27017/t
mongodb-shard 27018/t; mongodb-config 27019/t; couchdb 5984/t; redis-sentinel 26379/t
redis-cluster 16379/t; memcache 11211/tu memcached; elasticsearch 9200/t
elasticsearch-node 9300/t; kibana 5601/t; logstash 5044/t; cassandra 9042/t
cassandra-thrift 9160/t; cassandra-jmx 7199/t; neo4j 7687/t; neo4j-http 7474/t; arangodb 8529/t
influxdb 8086/t; cslistener 9000/t clickhouse; zookeeper 2181/t; kafka 9092/t; kafka-tls 9093/t
nats 4222/t; nats-cluster 6222/t; mqtt 1883/tu; mqtts 8883/tu secure-mqtt; stomp 61613/t
activemq 61616/t; activemq-web 8161/t; rabbitmq-web 15672/t; rabbitmq-dist 25672/t
etcd-client 2379/t; etcd-server 2380/t; kube-apiserver 6443/t; kubelet 10250/t
kube-scheduler 10259/t; kube-controller 10257/t; docker 2375/t; docker-s 2376/t
docker-swarm 2377/t; consul 8500/t; consul-dns 8600/tu; consul-rpc 8300/t; consul-lan 8301/tu
consul-wan 8302/tu; vault 8200/t; nomad 4646/t; nomad-rpc 4647/t; nomad-serf 4648/tu
prometheus 9090/t; jetdirect 9100/t pdl-datastream node-exporter; alertmanager 9094/tu
grafana 3000/t; loki 3100/t; jaeger-web 16686/t; zipkin 9411/t; otlp-grpc 4317/t; otlp-http 4318/t
statsd 8125/tu; graphite 2003/tu; fluentd 24224/tu; gelf 12201/tu; syslog 514/u; vnc 5900/t rfb
vnc-1 5901/t; vnc-2 5902/t; vnc-3 5903/t; vnc-http 5800/t; vnc-listen 5500/t; spice 5930/t
wsman 5985/t winrm; wsmans 5986/t winrms; wbem-http 5988/t; wbem-https 5989/t; wsd 5357/t
wsds 5358/t; ws-discovery 3702/tu; ssdp 1900/u; llmnr 5355/tu; upnp 2869/t; nat-pmp 5351/u
stun 3478/tu; stuns 5349/tu; wireguard 51820/u; pptp 1723/t; l2tp 1701/t; isakmp 500/tu ike
gre-in-udp 4754/u; vxlan 4789/u; geneve 6081/u; vxlan-gpe 4790/u; gtp-control 2123/u
gtp-user 2152/u; netflow 2055/u; sflow 6343/u; ipfix 4739/tu; mgcp-gateway 2427/u
h323hostcall 1720/t h323; h323gatestat 1719/u; asterisk-ami 5038/t; rtp 5004/u; rtcp 5005/u
teamspeak 9987/u; teamspeak-query 10011/t; mumble 64738/tu; minecraft 25565/t
minecraft-be 19132/u; source-engine 27015/tu; factorio 34197/u; quake3 27960/u; plex 32400/t
jellyfin 8096/t; home-assistant 8123/t; airplay 7000/t; roku 8060/t; ajp13 8009/t ajp chromecast
iphone-sync 62078/t; cwmp 7547/t tr069; winbox 8291/t; mikrotik-api 8728/t; mikrotik-apis 8729/t
mndp 5678/u; bandwidth-test 2000/u; ubnt-discover 10001/u; modbus 502/tu mbap
iso-tsap 102/t s7comm; dnp3 20000/tu; iec-104 2404/tu; enip 44818/tu ethernet-ip; enip-io 2222/u
opcua-tcp 4840/tu; opcua-tls 4843/tu; bacnet 47808/tu; fox 1911/tu niagara; foxs 4911/tu
pcworx 1962/t; hart-ip 5094/tu; profinet-rt 34962/tu; profinet-rtm 34963/tu; profinet-cm 34964/tu
coap 5683/tu; coaps 5684/tu; knx 3671/tu; ipmi 623/tu asf-rmcp; amt-http 16992/t
amt-https 16993/t; amt-redir 16994/t; amt-redirs 16995/t; vmware-auth 902/t; esxi-console 903/t
proxmox 8006/t; libvirt 16509/t; libvirt-tls 16514/t; iscsi 860/t; glusterd 24007/t
ceph-mon 6789/t; ceph-mon-v2 3300/t; nfs-mountd 20048/tu; nlockmgr 32803/tu; smb-direct 5445/t
afp 548/t; ipp 631/tu; ipps 632/t; canon-bjnp1 8611/tu; canon-bjnp2 8612/tu
globalcat 3268/t msft-gc; globalcats 3269/t msft-gc-ssl; kpasswd 464/tu; bgp 179/tu; ldp 646/tu
bfd-control 3784/u; bfd-echo 3785/u; hsrp 1985/u; ptp-event 319/tu; ptp-general 320/tu
netconf-ssh 830/tu; netconf-tls 6513/t; gnmi 9339/t; restconf-alt 8181/t; smart-install 4786/t
coa 3799/tu; tacacss 300/t; capwap-control 5246/u; capwap-data 5247/u; radsec 2083/tu
veeam 9392/t; bareos 9104/t; netbackup 1556/t; backupexec 10000/t; ndmp 10000/t
citrix-ica 1494/tu; citrix-cgp 2598/t; teamviewer 5938/tu; anydesk 7070/t; pcanywhere 5631/tu
pcanywhere-s 5632/tu; synergy 24800/t; ard 3283/tu; radmin 4899/t; java-debug 5005/t jdwp
node-debug 9229/t; delve 2345/t; jmx 9010/t; jmx-alt 1098/t; weblogic 7001/t; weblogic-s 7002/t
websphere 9080/t; websphere-s 9443/t; websphere-admin 9060/t; glassfish 4848/t; jboss-admin 9990/t
jboss-remote 4447/t; tomcat-shutdown 8005/t; coldfusion 8500/t; sap-router 3299/t
sap-dispatch 3200/t; sap-gateway 3300/t; sap-msg 3600/t; http-dev 8000/t irdmi sap-icm
ibm-mq 1414/t; db2 50000/t; db2-admin 523/tu; informix 9088/t; sybase 5000/t; firebird 3050/t
hana 30015/t; teradata 1025/t; vertica 5433/t; interbase 3050/t; hadoop-nn 8020/t
hadoop-http 9870/t; hadoop-dn 9864/t; yarn-rm 8088/t; hbase-master 16000/t; hbase-web 16010/t
spark-master 7077/t; spark-web 4040/t; hive 10000/t; presto 8080/t; solr 8983/t; jupyter 8888/t
tensorboard 6006/t; ollama 11434/t; gitea 3000/t; gerrit-ssh 29418/t; teamcity 8111/t
jenkins-agent 50000/t; sonarqube 9000/t; nexus 8081/t; bitbucket 7990/t; bitbucket-ssh 7999/t
portainer 9443/t; cockpit 9090/t; cpanel 2082/t; cpanels 2083/t; whm 2086/t; whms 2087/t
plesk 8443/t; plesk-alt 8880/t; directadmin 2222/t; puppetdb 8081/t; salt-publish 4505/t
salt-request 4506/t; chef-push 10002/t; icinga 5665/t; checkmk 6556/t; nsclient 12489/t
sensu 3031/t; splunkd 8089/t; splunk-in 9997/t; wazuh 1514/tu; wazuh-enrol 1515/t; nessus 8834/t
openvas 9390/t; tor-socks 9050/t; tor-control 9051/t; tor-or 9001/t; i2p-http 4444/t
privoxy 8118/t; shadowsocks 8388/tu; openvpn-mgmt 7505/t; zerotier 9993/tu; tailscale 41641/u
syncthing 22000/tu; syncthing-find 21027/u; resilio 55555/u; bittorrent 6881/tu
transmission 9091/t; transmission-p 51413/tu; deluge 58846/t; emule 4662/t; emule-kad 4672/u
soulseek 2234/t; xmpp-bosh 5280/t; xmpps-client 5223/t; irc 6667/t ircd; irc-6666 6666/t
irc-6668 6668/t; matrix 8448/t; mattermost 8065/t; smtp-alt 2525/t; imap4-ssl 585/t
cisco-sccp 2000/t sccp; lmtp 24/t; milter 8891/t; rspamd 11334/t; clamd 3310/t; gearman 4730/t
beanstalkd 11300/t; mpd 6600/t; icecast 8000/t; rtmp 1935/t; adb 5555/t; hikvision 8000/t
dahua 37777/tu; xmeye 34567/t; onvif 3702/u; bitcoin 8333/t; bitcoin-rpc 8332/t; ethereum 30303/tu
ethereum-rpc 8545/t; ethereum-ws 8546/t; monero 18080/t; rmi-act 1100/t; dns-over-quic 853/u
ntp 123/tu; domain 53/tu; snmp 161/tu; snmptrap 162/tu; tftp 69/u; sip 5060/s; diameter 3868/tus
s1ap 36412/s; x2ap 36422/s; ngap 38412/s; xnap 38422/s; m2ua 2904/s; m3ua 2905/s; m2pa 3565/s
sua 14001/s; h248 2945/tus; asap 3863/tus; lcs-ap 9082/s; f1ap 38472/s; e1ap 38462/s; ftp 21/s
ssh 22/s; http 80/s; https 443/s; bgp 179/s
""".strip()
"""NAME PORT/PROTOCOLS [ALIAS...]: t = tcp, u = udp, s = sctp; a name of the services file stays."""

SPECIAL = """
0.0.0.0/32 unspecified "this host on this network" RFC 1122
0.0.0.0/8 reserved "this network" RFC 791
10.0.0.0/8 private private-use RFC 1918
100.64.0.0/10 shared "shared address space (carrier-grade NAT)" RFC 6598
127.0.0.0/8 loopback loopback RFC 1122
169.254.0.0/16 link-local "link local" RFC 3927
172.16.0.0/12 private private-use RFC 1918
192.0.0.0/24 reserved "IETF protocol assignments" RFC 6890
192.0.0.0/29 private "IPv4 service continuity prefix" RFC 7335
192.0.0.9/32 public "Port Control Protocol anycast" RFC 7723
192.0.0.10/32 public "TURN anycast" RFC 8155
192.0.2.0/24 documentation TEST-NET-1 RFC 5737
192.31.196.0/24 public AS112-v4 RFC 7535
192.52.193.0/24 public AMT RFC 7450
192.88.99.0/24 reserved "deprecated 6to4 relay anycast" RFC 7526
192.168.0.0/16 private private-use RFC 1918
192.175.48.0/24 public "direct delegation AS112 service" RFC 7534
198.18.0.0/15 benchmarking benchmarking RFC 2544
198.51.100.0/24 documentation TEST-NET-2 RFC 5737
203.0.113.0/24 documentation TEST-NET-3 RFC 5737
224.0.0.0/4 multicast multicast RFC 5771
240.0.0.0/4 reserved "reserved for future use" RFC 1112
255.255.255.255/32 broadcast "limited broadcast" RFC 8190
::/0 reserved "reserved by IETF" RFC 4291
::/128 unspecified "unspecified address" RFC 4291
::1/128 loopback "loopback address" RFC 4291
::ffff:0:0/96 reserved "IPv4-mapped address" RFC 4291
64:ff9b::/96 translation "IPv4-IPv6 translation" RFC 6052
64:ff9b:1::/48 translation "local-use IPv4/IPv6 translation" RFC 8215
100::/64 discard "discard-only address block" RFC 6666
2000::/3 public "global unicast" RFC 4291
2001::/23 reserved "IETF protocol assignments" RFC 2928
2001::/32 public Teredo RFC 4380
2001:1::1/128 public "Port Control Protocol anycast" RFC 7723
2001:1::2/128 public "TURN anycast" RFC 8155
2001:2::/48 benchmarking benchmarking RFC 5180
2001:3::/32 public AMT RFC 7450
2001:4:112::/48 public AS112-v6 RFC 7535
2001:10::/28 reserved "deprecated ORCHID" RFC 4843
2001:20::/28 public ORCHIDv2 RFC 7343
2001:30::/28 public "drone remote ID tags" RFC 9374
2001:db8::/32 documentation documentation RFC 3849
2002::/16 public 6to4 RFC 3056
2620:4f:8000::/48 public "direct delegation AS112 service" RFC 7534
3fff::/20 documentation documentation RFC 9637
5f00::/16 reserved "segment routing SIDs" RFC 9602
fc00::/7 private unique-local RFC 4193
fe80::/10 link-local "link-local unicast" RFC 4291
fec0::/10 reserved "deprecated site-local" RFC 3879
ff00::/8 multicast multicast RFC 4291
""".strip()

SERVICES_HEAD = '''"""Names of ports, one service a line: name, port/protocols (t, u, s), aliases.

Generated by tools/make_registries.py on {date} from the services file of Debian's netbase {netbase}
(names assigned by IANA) and default ports that makers document. Facts; don't edit by hand.
"""

from __future__ import annotations

from typing import Final

SERVICES: Final = """\\
'''

ADDRESS_HEAD = '''"""What address blocks are for: prefix, kind, RFC, name; holders.

Generated by tools/make_registries.py on {date} from IANA's special-purpose address
registries and its address space registries as netaddr {netaddr} carries them (IPv4 of {v4},
IPv6 of {v6}). Facts; don't edit by hand. The longest matching prefix counts.
"""

from __future__ import annotations

from typing import Final

SPECIAL: Final = """\\
{special}
"""

HOLDERS: Final = """\\
{holders}
"""
'''


def services(path: Path) -> list[str]:
    ports: dict[tuple[str, int], str] = {}
    aliases: dict[tuple[str, int], set[str]] = {}
    seen: set[tuple[int, str]] = set()

    def add(name: str, port: int, protocol: str, others: list[str]) -> None:
        if (port, protocol) in seen:
            others, name = [name, *others], next(
                n for (n, p), protocols in ports.items() if p == port and protocol in protocols)
        else:
            seen.add((port, protocol))
            ports[name, port] = ports.get((name, port), "") + protocol
        aliases.setdefault((name, port), set()).update(o.lower() for o in others if o != name)

    for line in path.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            port, _, protocol = words[1].partition("/")
            if protocol in ("tcp", "udp", "sctp"):
                add(words[0].lower(), int(port), protocol[0], words[2:])
    for entry in ADDED.replace("\n", ";").split(";"):
        name, at, *others = entry.split()
        port, _, protocols = at.partition("/")
        for protocol in protocols:
            add(name, int(port), protocol, others)
    return [
        " ".join([name, f"{port}/{ports[name, port]}", *sorted(aliases[name, port])])
        for name, port in sorted(ports, key=lambda item: (item[1], item[0]))
    ]


def special() -> list[str]:
    rows = []
    for line in SPECIAL.splitlines():
        prefix, kind, rest = line.split(" ", 2)
        name, _, rfc = rest.rpartition(" RFC ")
        rows.append(f"{prefix} {kind} {rfc} {name.strip(chr(34))}")
    return rows


def holders() -> tuple[list[str], str, str]:
    folder = importlib.resources.files("netaddr.ip")
    tag = "{http://www.iana.org/assignments}"
    rows = []
    v4 = Xml.fromstring((folder / "ipv4-address-space.xml").read_bytes())
    for record in v4.iter(f"{tag}record"):
        if record.findtext(f"{tag}status") in ("ALLOCATED", "LEGACY"):
            octet = int(record.findtext(f"{tag}prefix", "").partition("/")[0])
            holder = record.findtext(f"{tag}designation", "").strip()
            rows.append(f"{octet}.0.0.0/8 {holder.removeprefix('Administered by ')}")
    v6 = Xml.fromstring((folder / "ipv6-unicast-address-assignments.xml").read_bytes())
    for record in v6.iter(f"{tag}record"):
        if record.findtext(f"{tag}status") == "ALLOCATED":
            holder = " ".join(record.findtext(f"{tag}description", "").split())
            rows.append(f"{record.findtext(f'{tag}prefix', '').strip().lower()} {holder}")
    return rows, v4.findtext(f"{tag}updated", ""), v6.findtext(f"{tag}updated", "")


def main() -> None:
    import netaddr

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=Path, default=Path("/etc/services"))
    path = parser.parse_args().services
    date = datetime.date.today().isoformat()
    version = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "netbase"],
        capture_output=True, text=True, check=True).stdout
    text = SERVICES_HEAD.format(date=date, netbase=version) + "\n".join(services(path)) + '\n"""\n'
    (ROOM / "services_data.py").write_text(text)
    rows, v4, v6 = holders()
    (ROOM / "address_data.py").write_text(ADDRESS_HEAD.format(
        date=date, netaddr=netaddr.__version__, v4=v4, v6=v6,
        special="\n".join(special()), holders="\n".join(rows)))


if __name__ == "__main__":
    main()
