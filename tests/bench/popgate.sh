#!/usr/bin/env bash
# popgate for the load harness: its run.sh takes this file with
# --script popgate=tests/bench/popgate.sh, next to the scripts of the peers.
# The harness's peers/lib.sh does most of the work; it is found through
# BENCH_DIR, or beside the run.sh that called.  POPGATE names the binary,
# KEY_ISOLATION=off has workers sign by themselves.  popgate is told what popsink
# announces (CAPA).
#
# A script that starts popgate with more than this sources it, as policy.sh does,
# after it has named a `policy` and defined `configure_more`, which prints more of
# the configuration.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${BENCH_DIR:=$PWD}" "${POPGATE:=$here/../../bazel-bin/proxy/popgate}"
. "$BENCH_DIR/peers/lib.sh"
: "${policy:=}"
declare -F configure_more >/dev/null || configure_more() { :; }

serve() {
	tickets=false level=warn
	[ "$TICKETS" = 1 ] && tickets=true
	[ "$SESSION_LOG" = 1 ] && level=info
	cat >"$dir/popgate.conf" <<END
workers: $WORKERS
key_isolation: ${KEY_ISOLATION:-on}
log: { target: "$dir/popgate.log", level: $level }
certificates:
  bench: { chain: "$CERTS/cert.pem", key: "$CERTS/key.pem" }
backends:
  popsink: { servers: ["$ADDR:$BACKEND_PORT"], tls: none, capabilities: [top, uidl, pipelining] }
defaults:
  backend: popsink
  session_tickets: $tickets
  session_timeout: 1h
  preauth_timeout: 10m
  max_connections_per_user: 1000000
  policy: "$policy"
listeners:
  pop3s: { bind: ["$ADDR:$TLS_PORT"], tls: implicit }
  pop3: { bind: ["$ADDR:$POP_PORT"], tls: stls }
END
	configure_more >>"$dir/popgate.conf"
	launch "$POPGATE" serve -c "$dir/popgate.conf"
}
peer_main "$TLS_PORT"
