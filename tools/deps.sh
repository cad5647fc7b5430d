#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs from Debian's packages what is missing: to build, to run, and (with "check") to test.
set -eu
build="gcc libc6-dev make meson ninja-build pkg-config python3 libuv1-dev libssl-dev libnghttp2-dev libwslay-dev
libsqlite3-dev libyaml-dev libnftables-dev libmnl-dev libknot-dev libarchive-dev libcurl4-openssl-dev libzstd-dev
zlib1g-dev libcap-ng-dev libseccomp-dev libcmocka-dev libcjson-dev libjansson-dev libjson-c-dev libyajl-dev"
run="crun conmon iproute2 nftables e2fsprogs util-linux ca-certificates"
check="python3-pytest python3-kubernetes docker-registry apache2-utils busybox-static curl netcat-openbsd"
want="$build $run"
[ "${1:-}" = check ] && want="$want $check"
missing=""
for p in $want; do
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
