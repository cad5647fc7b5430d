#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make demo`: a cluster named "demo", the two visit counters of examples/visits, and what they show.
# Run it again at any time: what is there already takes no time. NAME, DATA_DIR and IMAGES (where the
# images are kept) may be set to something else.
set -eu
cd "$(dirname "$0")/.."
CORACLE=${CORACLE:-build/src/cli/coracle}
NAME=${NAME:-demo}
DATA_DIR=${DATA_DIR:-/var/lib/coracle/$NAME}
IMAGES=${IMAGES:-/var/cache/coracle/visits}
export KUBECONFIG="$DATA_DIR/kubeconfig"
cluster="--name $NAME"
[ "$DATA_DIR" = "/var/lib/coracle/$NAME" ] || cluster="$cluster --data-dir $DATA_DIR"

if [ -t 1 ]; then bold=$(printf '\033[1m') blue=$(printf '\033[34m') plain=$(printf '\033[0m'); else bold='' blue='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
shown() { printf '%s$ %s%s\n' "$blue" "$*" "$plain"; }
show() { shown "$@" && "$@"; }

stopped() {
	code=$?
	trap - EXIT
	[ $code -eq 0 ] || printf '\n%s\n' "demo: it stopped here. What the cluster logged: $DATA_DIR/log" >&2
	exit $code
}

[ "$(id -u)" -eq 0 ] || { echo "demo: must be root; try sudo make demo" >&2; exit 1; }
[ -x "$CORACLE" ] || { echo "demo: there is no $CORACLE; run make first, or sudo make demo" >&2; exit 1; }
trap stopped EXIT

say "1. Images, from Debian's packages"
examples/visits/build-images.py --cache "$IMAGES"

say "2. A cluster"
# shellcheck disable=SC2086
"$CORACLE" up $cluster
for app in python javascript; do
	# shellcheck disable=SC2086
	"$CORACLE" image $cluster import "$IMAGES/visits-$app.tar"
done
show kubectl get nodes

say "3. Two applications"
show kubectl apply -f examples/visits/python/k8s -f examples/visits/javascript/k8s
show kubectl rollout status statefulset/app-python --timeout=120s
show kubectl rollout status deployment/app-javascript --timeout=120s
show kubectl get pods,statefulsets,deployments,services
show kubectl get persistentvolumeclaims

say "4. Visits, from outside and inside"
address=$(kubectl get service app-python-lb -o 'jsonpath={.status.loadBalancer.ingress[0].ip}')
for _ in 1 2 3; do
	shown curl "http://$address:8000/"
	curl -fsS --max-time 5 "http://$address:8000/"
done
show kubectl exec pod/app-python-0 -- wget -q -O - http://app-javascript:3000/
show kubectl exec pod/app-python-0 -- wget -q -O - http://app-python-0.app-python:8000/

say "5. A pod goes, and comes back with its name, its volume and its count"
show kubectl exec pod/app-python-0 -- cat /app/data/visits.txt
show kubectl delete pod/app-python-0
show kubectl rollout status statefulset/app-python --timeout=120s
show kubectl exec pod/app-python-0 -- cat /app/data/visits.txt

say "Try next"
cat <<END
  export KUBECONFIG=$KUBECONFIG
  kubectl get pods -o wide
  kubectl scale statefulset/app-python --replicas=5
  kubectl exec pod/app-python-0 -- nslookup app-python-1.app-python.default.svc.cluster.local
  kubectl exec -it pod/app-python-0 -- sh
  sudo $CORACLE down $cluster --purge
END
