#!/usr/bin/env bash
# popgate for the load harness, as in popgate.sh, but with a policy in force: ten
# rules of which the last one decides, by the names of popload's addresses.
#
#     HARNESS/run.sh --metrics "session handshake" --peers "" \
#         --script popgate=tests/bench/popgate.sh --script policy=tests/bench/policy.sh
#
# The names come from a Knot of its own, which lives as long as the popgate, is no
# child of it, and has nothing to do once popload's warm-up is over: all names are
# known then, for a day.
policy=edge

# Knot with a name for each of 127.0.1.1 to 127.0.1.250; prints its address.
start_knot() {
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../system python3 - "$dir" <<'END'
import sys
from pathlib import Path

from dns import Knot, pairs

directory = Path(sys.argv[1])
knot = Knot(directory / "knot", pairs({f"client{n}.contoso.com": [f"127.0.1.{n}"] for n in range(1, 251)}), ttl=86400)
knot.start()
(directory / "knot.pid").write_text(f"{knot._process.pid}\n")
print(knot.address)
END
}

stop_knot() {
	[ -s "$dir/knot.pid" ] || return 0
	kill "$(cat "$dir/knot.pid")" || true
	timeout 10 tail --pid "$(cat "$dir/knot.pid")" -f /dev/null # until it is gone
	rm "$dir/knot.pid"
}

# networks COUNT WHAT: so many /20 from 11.0.0.0 on, and what is known of each.
networks() {
	seq 0 $(($1 - 1)) |
		awk -v what="$2" '{printf "%d.%d.%d.0/20 %s\n", 11 + $1 / 4096, $1 / 16 % 256, $1 % 16 * 16, what}'
}

# Databases that know popload's addresses, though nothing that a rule asks for.
write_databases() {
	local mmdb=$here/../system/mmdb.pl
	{ networks 5000 "DE EU" && echo "127.0.0.0/8 BR SA"; } | perl "$mmdb" "$dir/country.mmdb" country
	{ networks 5000 65550 && echo "127.0.0.0/8 65551"; } | perl "$mmdb" "$dir/asn.mmdb" asn
}

write_prefixes() {
	seq 0 99999 | awk '{printf "%d.%d.%d.0/25\n", 1 + $1 / 65536, $1 / 256 % 256, $1 % 256}' >"$dir/banned.txt"
}

configure_more() {
	write_databases
	write_prefixes
	cat <<END
policies:
  edge:
    rules:
      - deny file banned.txt
      - allow ip 131.107.2.0/255.255.255.0 2001:db8::/32
      - deny range 198.51.100.10-198.51.100.40
      - deny ip 198.51.100.0/24 203.0.113.0/24
      - audit deny asn 64511
      - deny asn 64496 64497 64498
      - deny country KP RU
      - deny continent AN
      - allow continent EU
      - allow domain contoso.com
    default: deny
geoip: { country: country.mmdb, asn: asn.mmdb }
resolver: { servers: ["$(start_knot)"] }
END
}

trap '[ $? = 0 ] || stop_knot' EXIT # run.sh does not stop what did not start
. "$(dirname "${BASH_SOURCE[0]}")/popgate.sh"
[ "$action" = start ] || stop_knot
