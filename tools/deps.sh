#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing, and nothing when none is.
#
#   tools/deps.sh [build] [run] [test] [bench] [vm]      the first three without arguments
set -eu

BUILD="gcc libc6-dev make meson ninja-build pkg-config python3 libuv1-dev libssl-dev libnghttp2-dev
	zlib1g-dev libwslay-dev libyaml-dev libsqlite3-dev libmnl-dev libknot-dev
	libarchive-dev libcurl4-openssl-dev libzstd-dev liblzma-dev libbz2-dev libcap-ng-dev libseccomp-dev libcmocka-dev
	libcjson-dev libjansson-dev libjson-c-dev libyajl-dev"
RUN="crun conmon nftables iproute2 util-linux e2fsprogs ca-certificates
	libcurl4 curl"
TEST="python3-pytest python3-kubernetes python3-yaml docker-registry apache2-utils busybox-static
	netcat-openbsd procps clang libclang-rt-14-dev clang-tidy cppcheck valgrind"

# Peers that benchmarks are measured beside, and what loads a server.
BENCH="podman catatonit etcd-server nghttp2-client busybox-static binutils curl"

# Control groups v2 in a virtual machine (tests/vm/run).
VM="qemu-system-x86 kmod busybox-static"

packages=""
for group in ${*:-build run test}; do
	case $group in
	build) packages="$packages $BUILD" ;;
	run) packages="$packages $RUN" ;;
	test) packages="$packages $TEST" ;;
	bench) packages="$packages $BENCH" ;;
	vm) packages="$packages $VM" ;;
	*) echo "deps.sh: unknown group '$group': build, run, test, bench and vm exist" >&2; exit 2 ;;
	esac
done
# Any kubectl will do: a newer one than Debian's is often there already.
command -v kubectl >/dev/null 2>&1 || packages="$packages kubernetes-client"

missing=""
for p in $packages; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps.sh: these packages are missing, run me as root (sudo make deps):$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# A package may not start its services here: we want the files only.
policy=/usr/sbin/policy-rc.d
said=$(mktemp)
trap 'rm -f "$said"' EXIT INT TERM
if [ ! -e $policy ]; then
	trap 'rm -f "$said" $policy' EXIT INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

# What apt reports of itself, "dlstatus:1:20.5:Retrieving file 1 of 9" or "pmstatus:gcc:40:Unpacking gcc", as a bar on
# a terminal; elsewhere the first line of each part is enough. Downloads and the rest count to 100 each.
progress() {
	part=''
	while IFS=: read -r kind _ percent _; do
		case $kind in
		dlstatus) what="Downloading" ;;
		pmstatus) what="Installing" ;;
		*) continue ;;
		esac
		if [ -t 2 ]; then
			percent=${percent%%.*}
			bar=$(printf '%*s' $((${percent:-0} * 24 / 100)) '' | tr ' ' '#')
			printf '\r\033[K%s %s [%-24s] %3d%%' "$what" "$things" "$bar" "${percent:-0}" >&2
		elif [ "$what" != "$part" ]; then
			echo "$what $things" >&2
		fi
		part=$what
	done
	if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

# apt-get with a display of how far it is; everything else that it says is in $said.
apt() {
	rm -f "$said.ok"
	{ apt-get -o APT::Status-Fd=3 "$@" 3>&1 >"$said" 2>&1 && : >"$said.ok"; } | progress
	[ -e "$said.ok" ] && rm "$said.ok"
}

update() {
	things="Debian's lists of packages"
	apt update -q
}

# What is missing and all that it needs; nothing when there are no lists to tell.
number() {
	# shellcheck disable=SC2086
	apt-get install -s -q --no-install-recommends $missing 2>/dev/null | grep -c '^Inst' || true
}

install() {
	things="$(number) packages"
	[ "$things" != "1 packages" ] || things="1 package"
	# shellcheck disable=SC2086
	apt install -y -q --no-install-recommends $missing
}

echo "Installing Debian packages:$missing"
# Lists that are absent or older than what the mirror has need an update.
{ [ "$(number)" -gt 0 ] && install; } || { update && install; } || { cat "$said" >&2; exit 1; }
echo "Installed $things"
