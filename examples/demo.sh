#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make demo`: a cluster named "demo", the two visit counters of examples/visits, and what they show.
# Run it again at any time: what is there already takes no time.
set -eu
cd "$(dirname "$0")/.."
CORACLE=${CORACLE:-build/src/cli/coracle}
NAME=demo
IMAGES=/var/cache/coracle/visits

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; "$@"; }

[ "$(id -u)" -eq 0 ] || { echo "demo: must be root; try sudo make demo" >&2; exit 1; }

say "1. Images from Debian's packages (a minute the first time)"
examples/visits/build-images.py

say "2. A cluster"
"$CORACLE" up --name $NAME
KUBECONFIG=$(mktemp)
trap 'rm -f "$KUBECONFIG"' EXIT
"$CORACLE" kubeconfig --name $NAME >"$KUBECONFIG"
export KUBECONFIG
show kubectl wait --for=condition=Ready node --all --timeout=60s
for app in python javascript; do
	"$CORACLE" image --name $NAME import "$IMAGES/visits-$app.tar"
done

say "3. Two applications"
show kubectl apply -f examples/visits/python/k8s -f examples/visits/javascript/k8s
show kubectl rollout status statefulset/app-python --timeout=120s
show kubectl rollout status deployment/app-javascript --timeout=120s
show kubectl get pods,statefulsets,deployments,services,persistentvolumeclaims

say "4. Visits"
ip=$(kubectl get service app-python-lb -o 'jsonpath={.status.loadBalancer.ingress[0].ip}')
for _ in 1 2 3 4; do
	show curl -fsS --max-time 5 "http://$ip:8000/"
	echo
done
show kubectl exec pod/app-python-0 -- cat /app/data/visits.txt
show kubectl delete pod/app-python-0
show kubectl rollout status statefulset/app-python --timeout=120s
say "The same name, the same claim, the same count:"
show kubectl exec pod/app-python-0 -- cat /app/data/visits.txt

say "Try next"
cat <<END
  export KUBECONFIG=/var/lib/coracle/$NAME/kubeconfig
  kubectl get pods -o wide
  kubectl scale statefulset/app-python --replicas=5
  kubectl exec -it pod/app-python-0 -- sh
  sudo $CORACLE down --name $NAME --purge
END
