#!/bin/sh
# Make a capture of frames in frames: 802.1Q, QinQ, MPLS, GRE with a key, VXLAN and Geneve.
# Open vSwitch in user space makes them (Debian: openvswitch-switch), so no kernel module is
# needed: two switches, each in a network namespace of its own, joined by one wire.
# Usage (root): tools/make_captures_overlay.sh OUT.pcap
set -eu
out=$(realpath -m "${1:?usage: make_captures_overlay.sh OUT.pcap}")
if [ "${2:-}" != inside ]; then
    exec unshare --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$out" inside
fi
PATH=$PATH:/usr/sbin:/sbin
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

unshare --net sleep 90 &
one=$!
unshare --net sleep 90 &
two=$!
sleep 0.3
at() { eval "pid=\$$1"; shift; nsenter -t "$pid" -n -- "$@"; }
vsctl() { side=$1; shift; OVS_RUNDIR=$folder/$side at "$side" ovs-vsctl -t 5 --db="unix:$folder/$side/db" "$@"; }
flow() { # SWITCH FLOW: the same on both sides
    for side in one two; do
        at $side ovs-ofctl -O OpenFlow13 add-flow "unix:$folder/$side/$1.mgmt" "$2"
    done
}
clear_flows() { for side in one two; do at $side ovs-ofctl -O OpenFlow13 del-flows "unix:$folder/$side/wire0.mgmt"; done; }
talk() { # ADDRESS: a ping and a refused connection
    at one ping -q -c 2 -i 0.2 -W 1 "$1" >/dev/null || echo "no answer from $1: $2" >&2
    at one curl -s -m 1 "http://$1:9/" || true
}

ip link add end1 netns "$one" type veth peer name end2 netns "$two"
number=0
for side in one two; do
    number=$((number + 1))
    mkdir $side
    ovsdb-tool create $side/conf.db /usr/share/openvswitch/vswitch.ovsschema
    export OVS_RUNDIR="$folder/$side" OVS_LOGDIR="$folder/$side" OVS_DBDIR="$folder/$side" \
        OVS_SYSCONFDIR="$folder/$side"
    at $side ip link set lo up
    at $side ip link set end$number up
    at $side ovsdb-server $side/conf.db --remote="punix:$folder/$side/db" \
        --pidfile="$folder/$side/db.pid" --unixctl="$folder/$side/db.ctl" >/dev/null 2>&1 &
    sleep 0.4
    vsctl $side --no-wait init -- set Open_vSwitch . other_config:vlan-limit=2
    at $side ovs-vswitchd "unix:$folder/$side/db" --pidfile="$folder/$side/vs.pid" \
        --unixctl="$folder/$side/vs.ctl" >/dev/null 2>&1 &
    sleep 0.6
    vsctl $side add-br wire0 -- set bridge wire0 datapath_type=netdev fail_mode=secure \
        protocols=OpenFlow13 -- add-port wire0 end$number -- set interface end$number ofport_request=1
    vsctl $side add-br over0 -- set bridge over0 datapath_type=netdev
    at $side ip addr add 10.9.2.$number/24 dev wire0
    at $side ip addr add 10.8.0.$number/24 dev over0
    at $side ip link set wire0 up
    at $side ip link set over0 mtu 1400 up
done
at one tcpdump --immediate-mode -q -U -i end1 -w "$folder/capture.pcap" >/dev/null 2>&1 &
dump=$!
sleep 0.7

flow wire0 "in_port=LOCAL actions=push_vlan:0x8100,set_field:4103->vlan_vid,set_field:3->vlan_pcp,output:1"
flow wire0 "in_port=1,vlan_vid=0x1000/0x1000 actions=pop_vlan,LOCAL"
talk 10.9.2.2 vlan
clear_flows
flow wire0 "in_port=LOCAL actions=push_vlan:0x8100,set_field:4103->vlan_vid,push_vlan:0x88a8,set_field:4105->vlan_vid,output:1"
flow wire0 "in_port=1,vlan_vid=0x1000/0x1000 actions=pop_vlan,resubmit(,1)"
flow wire0 "table=1,vlan_vid=0x1000/0x1000 actions=pop_vlan,LOCAL"
talk 10.9.2.2 qinq
clear_flows
flow wire0 "priority=1,in_port=LOCAL actions=output:1"
flow wire0 "priority=1,in_port=1 actions=LOCAL"
flow wire0 "priority=9,in_port=LOCAL,ip actions=push_mpls:0x8847,set_field:100->mpls_label,push_mpls:0x8847,set_field:200->mpls_label,set_field:5->mpls_tc,output:1"
flow wire0 "priority=9,in_port=1,mpls actions=pop_mpls:0x8847,resubmit(,1)"
flow wire0 "table=1,mpls actions=pop_mpls:0x0800,resubmit(,2)"
flow wire0 "table=2 actions=LOCAL"
talk 10.9.2.2 mpls
clear_flows
flow wire0 "actions=NORMAL"
for kind in gre vxlan geneve; do
    number=3
    for side in one two; do
        number=$((number - 1))
        vsctl $side add-port over0 over-$kind -- set interface over-$kind type=$kind \
            options:remote_ip=10.9.2.$number options:key=77
    done
    at one ping -q -c 1 -W 1 10.9.2.2 >/dev/null || true
    talk 10.8.0.2 $kind
    for side in one two; do vsctl $side del-port over-$kind; done
done
sleep 0.3
kill $dump
cp capture.pcap "$out"
