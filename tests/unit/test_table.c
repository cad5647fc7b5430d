// SPDX-License-Identifier: Apache-2.0
// What `kubectl get` prints of each kind (facts/printing.md 1 and 2): an object and its row. Every
// kind that has a table has its columns here, and every kind with columns of its own a row.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/table.h"
#include "codec/codec.h"
#include "codec/tree.h"
#include "gen/resources.h"

/* Columns: a * behind those that only -o wide shows, the type behind those that are no string. */
static const struct {
	enum cor_res res;
	const char *columns;
} heads[] = {
	{ COR_RES_PODS, "Name Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*" },
	{ COR_RES_PODTEMPLATES, "Name Containers Images Pod_Labels" },
	{ COR_RES_REPLICATIONCONTROLLERS, "Name Desired:i Current:i Ready:i Age Containers* Images* Selector*" },
	{ COR_RES_REPLICASETS, "Name Desired:i Current:i Ready:i Age Containers* Images* Selector*" },
	{ COR_RES_DEPLOYMENTS, "Name Ready Up-to-date Available Age Containers* Images* Selector*" },
	{ COR_RES_STATEFULSETS, "Name Ready Age Containers* Images*" },
	{ COR_RES_DAEMONSETS,
		"Name Desired:i Current:i Ready:i Up-to-date:i Available:i Node_Selector Age Containers* Images* Selector*" },
	{ COR_RES_CONTROLLERREVISIONS, "Name Controller Revision Age" },
	{ COR_RES_JOBS, "Name Status Completions Duration Age Containers* Images* Selector*" },
	{ COR_RES_CRONJOBS, "Name Schedule Timezone Suspend Active:i Last_Schedule Age Containers* Images* Selector*" },
	{ COR_RES_HORIZONTALPODAUTOSCALERS, "Name Reference Targets MinPods MaxPods Replicas Age" },
	{ COR_RES_HORIZONTALPODAUTOSCALERS_V1, "Name Reference Targets MinPods MaxPods Replicas Age" },
	{ COR_RES_PODDISRUPTIONBUDGETS, "Name Min_Available Max_Unavailable Allowed_Disruptions:i Age" },
	{ COR_RES_SERVICES, "Name Type Cluster-IP External-IP Port(s) Age Selector*" },
	{ COR_RES_ENDPOINTS, "Name Endpoints Age" },
	{ COR_RES_ENDPOINTSLICES, "Name AddressType Ports Endpoints Age" },
	{ COR_RES_NODES,
		"Name Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*" },
	{ COR_RES_NAMESPACES, "Name Status Age" },
	{ COR_RES_SERVICEACCOUNTS, "Name Age" },
	{ COR_RES_SECRETS, "Name Type Data Age" },
	{ COR_RES_CONFIGMAPS, "Name Data Age" },
	{ COR_RES_EVENTS, "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count* Name*" },
	{ COR_RES_EVENTS_EVENTS, "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count* Name*" },
	{ COR_RES_RESOURCEQUOTAS, "Name Request Limit Age" },
	{ COR_RES_LIMITRANGES, "Name Created_At:d" },
	{ COR_RES_PERSISTENTVOLUMES,
		"Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age "
		"VolumeMode*" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS,
		"Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age VolumeMode*" },
	{ COR_RES_COMPONENTSTATUSES, "Name Status Message Error" },
	{ COR_RES_INGRESSES, "Name Class Hosts Address Ports Age" },
	{ COR_RES_INGRESSCLASSES, "Name Controller Parameters Age" },
	{ COR_RES_NETWORKPOLICIES, "Name Pod-Selector Age" },
	{ COR_RES_SERVICECIDRS, "Name CIDRs Age" },
	{ COR_RES_IPADDRESSES, "Name ParentRef" },
	{ COR_RES_ROLES, "Name Created_At:d" },
	{ COR_RES_CLUSTERROLES, "Name Created_At:d" },
	{ COR_RES_ROLEBINDINGS, "Name Role Age Users* Groups* ServiceAccounts*" },
	{ COR_RES_CLUSTERROLEBINDINGS, "Name Role Age Users* Groups* ServiceAccounts*" },
	{ COR_RES_CERTIFICATESIGNINGREQUESTS, "Name Age SignerName Requestor RequestedDuration Condition" },
	{ COR_RES_MUTATINGWEBHOOKCONFIGURATIONS, "Name Webhooks:i Age" },
	{ COR_RES_VALIDATINGWEBHOOKCONFIGURATIONS, "Name Webhooks:i Age" },
	{ COR_RES_VALIDATINGADMISSIONPOLICIES, "Name Validations:i ParamKind Age" },
	{ COR_RES_MUTATINGADMISSIONPOLICIES, "Name Mutations:i ParamKind Age" },
	{ COR_RES_VALIDATINGADMISSIONPOLICYBINDINGS, "Name PolicyName ParamRef Age" },
	{ COR_RES_MUTATINGADMISSIONPOLICYBINDINGS, "Name PolicyName ParamRef Age" },
	{ COR_RES_CUSTOMRESOURCEDEFINITIONS, "Name Created_At:d" },
	{ COR_RES_APISERVICES, "Name Service Available Age" },
	{ COR_RES_FLOWSCHEMAS, "Name PriorityLevel MatchingPrecedence DistinguisherMethod Age MissingPL" },
	{ COR_RES_PRIORITYLEVELCONFIGURATIONS,
		"Name Type NominalConcurrencyShares Queues HandSize QueueLengthLimit Age" },
	{ COR_RES_STORAGECLASSES, "Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age" },
	{ COR_RES_VOLUMEATTRIBUTESCLASSES, "Name DriverName Age" },
	{ COR_RES_CSINODES, "Name Drivers:i Age" },
	{ COR_RES_CSISTORAGECAPACITIES, "Name Created_At:d" },
	{ COR_RES_CSIDRIVERS,
		"Name AttachRequired:b PodInfoOnMount:b StorageCapacity:b TokenRequests RequiresRepublish:b Modes Age" },
	{ COR_RES_VOLUMEATTACHMENTS, "Name Attacher PV Node Attached:b Age" },
	{ COR_RES_PRIORITYCLASSES, "Name Value:i Global-Default:b Age PreemptionPolicy" },
	{ COR_RES_RUNTIMECLASSES, "Name Handler Age" },
	{ COR_RES_LEASES, "Name Holder Age" },
	{ COR_RES_DEVICECLASSES, "Name Age" },
	{ COR_RES_RESOURCECLAIMTEMPLATES, "Name Age" },
	{ COR_RES_RESOURCECLAIMS, "Name State Age" },
	{ COR_RES_RESOURCESLICES, "Name Node Driver Pool Age" },
};

struct rule {
	enum cor_res res;
	const char *object; /* JSON with ' for ", without its braces and metadata */
	const char *row;    /* cells as JSON, joined by " | ", texts without quotes */
};

/* Everything was made five days ago. */
#define NOW "2026-01-06T03:04:05Z"
#define META "'metadata':{'name':'x','namespace':'ns','creationTimestamp':'2026-01-01T03:04:05Z'}"
#define GOING "'metadata':{'name':'x','deletionTimestamp':'2026-01-06T03:04:00Z'},"

#define ENDED(code) "'terminated':{'exitCode':" code "}"
#define BEFORE(age) "'lastState':{'terminated':{'finishedAt':'2026-01-06T03:0" age "Z'}}"
#define C1 "'containers':[{'name':'a'}]"
#define C2 "'containers':[{'name':'a'},{'name':'b'}]"
#define RUNS "'ready':true,'state':{'running':{}}"
#define WAITS(reason) "'state':{'waiting':{'reason':'" reason "'}}"
#define TEMPLATE "'template':{'spec':{'containers':[{'name':'a','image':'i:1'},{'name':'b','image':'j'}]}}"
#define SELECTS "'selector':{'matchLabels':{'b':'2','a':'1'},'matchExpressions':[{'key':'c','operator':'In','values':['y','x']}]}"

static const struct rule pods[] = {
	{ COR_RES_PODS, "'spec':{" C2 ",'nodeName':'n'},'status':{'phase':'Running','podIPs':[{'ip':'10.1.0.2'}],"
		"'containerStatuses':[{" RUNS "},{" RUNS "}]}", "x | 2/2 | Running | 0 | 5d | 10.1.0.2 | n | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Pending'}",
		"x | 0/1 | Pending | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Pending','containerStatuses':[{" WAITS("ContainerCreating") "}]}",
		"x | 0/1 | ContainerCreating | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Running','containerStatuses':[{'restartCount':3," BEFORE("3:45") ","
		RUNS "}]}", "x | 1/1 | Running | 3 (20s ago) | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Running','containerStatuses':[{'restartCount':5," BEFORE("0:05") ","
		WAITS("CrashLoopBackOff") "}]}", "x | 0/1 | CrashLoopBackOff | 5 (4m ago) | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Pending','containerStatuses':[{" WAITS("ImagePullBackOff") "}]}",
		"x | 0/1 | ImagePullBackOff | 0 | 5d | <none> | <none> | <none> | <none>" },
	/* The first that has something to say is named, from the last on. */
	{ COR_RES_PODS, "'spec':{" C2 "},'status':{'phase':'Pending','containerStatuses':[{" WAITS("ErrImagePull") "},{"
		RUNS "}]}", "x | 1/2 | ErrImagePull | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Succeeded','containerStatuses':[{'state':{'terminated':"
		"{'exitCode':0,'reason':'Completed'}}}]}", "x | 0/1 | Completed | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Failed','containerStatuses':[{'state':{'terminated':"
		"{'exitCode':137,'reason':'OOMKilled'}}}]}", "x | 0/1 | OOMKilled | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Failed','containerStatuses':[{'state':{" ENDED("3") "}}]}",
		"x | 0/1 | ExitCode:3 | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 "},'status':{'phase':'Failed','containerStatuses':[{'state':{'terminated':"
		"{'exitCode':137,'signal':9}}}]}", "x | 0/1 | Signal:9 | 0 | 5d | <none> | <none> | <none> | <none>" },
	/* One has done its part, another goes on. */
	{ COR_RES_PODS, "'spec':{" C2 "},'status':{'phase':'Running','conditions':[{'type':'Ready','status':'True'}],"
		"'containerStatuses':[{'state':{'terminated':{'exitCode':0,'reason':'Completed'}}},{" RUNS "}]}",
		"x | 1/2 | Running | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C2 "},'status':{'phase':'Running','containerStatuses':[{'state':{'terminated':"
		"{'exitCode':0,'reason':'Completed'}}},{" RUNS "}]}",
		"x | 1/2 | NotReady | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C2 "},'status':{'phase':'Running','containerStatuses':[{'state':{'terminated':"
		"{'exitCode':0,'reason':'Completed'}}},{'state':{'terminated':{'exitCode':1,'reason':'Error'}}}]}",
		"x | 0/2 | Error | 0 | 5d | <none> | <none> | <none> | <none>" },
	/* Deleted, lost, evicted, held back. */
	{ COR_RES_PODS, GOING "'spec':{" C1 "},'status':{'phase':'Running','containerStatuses':[{" RUNS "}]}",
		"x | 1/1 | Terminating | 0 | <unknown> | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, GOING "'spec':{" C1 "},'status':{'phase':'Running','reason':'NodeLost'}",
		"x | 0/1 | Unknown | 0 | <unknown> | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, GOING "'spec':{" C1 "},'status':{'phase':'Failed','reason':'Evicted'}",
		"x | 0/1 | Evicted | 0 | <unknown> | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 ",'readinessGates':[{'conditionType':'a'},{'conditionType':'b'}]},'status':{'phase':"
		"'Pending','nominatedNodeName':'m','conditions':[{'type':'PodScheduled','status':'False','reason':"
		"'SchedulingGated'},{'type':'b','status':'True'}]}",
		"x | 0/1 | SchedulingGated | 0 | 5d | <none> | <none> | m | 1/2" },
	/* Init containers, with and without a side car among them. */
	{ COR_RES_PODS, "'spec':{" C1 ",'initContainers':[{'name':'i'},{'name':'j'}]},'status':{'phase':'Pending',"
		"'initContainerStatuses':[{'state':{" ENDED("0") "}},{'state':{'running':{}}}],'containerStatuses':[{"
		WAITS("PodInitializing") "}]}", "x | 0/1 | Init:1/2 | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 ",'initContainers':[{'name':'i'}]},'status':{'phase':'Pending','initContainerStatuses':["
		"{'restartCount':2," BEFORE("3:05") "," WAITS("CrashLoopBackOff") "}]}",
		"x | 0/1 | Init:CrashLoopBackOff | 2 (60s ago) | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 ",'initContainers':[{'name':'i'}]},'status':{'phase':'Failed','initContainerStatuses':["
		"{'state':{" ENDED("4") "}}]}", "x | 0/1 | Init:ExitCode:4 | 0 | 5d | <none> | <none> | <none> | <none>" },
	{ COR_RES_PODS, "'spec':{" C1 ",'initContainers':[{'name':'i'},{'name':'s','restartPolicy':'Always'}]},'status':"
		"{'phase':'Running','initContainerStatuses':[{'name':'i','restartCount':7," BEFORE("4:00") ",'state':{"
		ENDED("0") "}},{'name':'s','restartCount':1," BEFORE("2:05") ",'started':true," RUNS "}],"
		"'containerStatuses':[{" RUNS "}]}",
		"x | 2/2 | Running | 1 (2m ago) | 5d | <none> | <none> | <none> | <none>" },
};

static const struct rule workloads[] = {
	{ COR_RES_PODTEMPLATES, "'template':{'metadata':{'labels':{'b':'2','a':'1'}},'spec':{" C1 "}}", "x | a |  | a=1,b=2" },
	{ COR_RES_REPLICATIONCONTROLLERS, "'spec':{'replicas':2,'selector':{'b':'2','a':'1'}," TEMPLATE "},'status':{'replicas':1}",
		"x | 2 | 1 | 0 | 5d | a,b | i:1,j | a=1,b=2" },
	{ COR_RES_REPLICASETS, "'spec':{'replicas':2," SELECTS "," TEMPLATE "},'status':{'replicas':2,'readyReplicas':1}",
		"x | 2 | 2 | 1 | 5d | a,b | i:1,j | a=1,b=2,c in (x,y)" },
	{ COR_RES_DEPLOYMENTS, "'spec':{'replicas':3," SELECTS "," TEMPLATE "},'status':{'replicas':4,'readyReplicas':2,"
		"'updatedReplicas':1,'availableReplicas':2}", "x | 2/3 | 1 | 2 | 5d | a,b | i:1,j | a=1,b=2,c in (x,y)" },
	{ COR_RES_STATEFULSETS, "'spec':{'replicas':3," TEMPLATE "},'status':{'readyReplicas':2}", "x | 2/3 | 5d | a,b | i:1,j" },
	{ COR_RES_DAEMONSETS, "'spec':{'template':{'spec':{'nodeSelector':{'d':'ssd'}," C1 "}}},'status':{"
		"'desiredNumberScheduled':5,'currentNumberScheduled':4,'numberReady':3,'updatedNumberScheduled':2,"
		"'numberAvailable':1}", "x | 5 | 4 | 3 | 2 | 1 | d=ssd | 5d | a |  | <none>" },
	{ COR_RES_DAEMONSETS, "", "x | 0 | 0 | 0 | 0 | 0 | <none> | 5d |  |  | <none>" },
	{ COR_RES_CONTROLLERREVISIONS, "'revision':4", "x | <none> | 4 | 5d" },
	{ COR_RES_CONTROLLERREVISIONS, "'metadata':{'name':'x','ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'p'},"
		"{'apiVersion':'apps/v1','kind':'StatefulSet','name':'web','controller':true}]},'revision':4",
		"x | statefulset.apps/web | 4 | <unknown>" },
	{ COR_RES_JOBS, "'spec':{'completions':3,'selector':{'matchLabels':{'a':'1'}}," TEMPLATE "},'status':{'succeeded':1,"
		"'startTime':'2026-01-06T03:03:05Z'}", "x | Running | 1/3 | 60s | 5d | a,b | i:1,j | a=1" },
	{ COR_RES_JOBS, "'spec':{'parallelism':2},'status':{'succeeded':1,'startTime':'2026-01-06T01:00:00Z','completionTime':"
		"'2026-01-06T01:05:00Z','conditions':[{'type':'Complete','status':'True'}]}",
		"x | Complete | 1/1 of 2 | 5m | 5d |  |  | <none>" },
	{ COR_RES_JOBS, "'status':{'conditions':[{'type':'Suspended','status':'True'}]}", "x | Suspended | 0/1 |  | 5d |  |  | <none>" },
	{ COR_RES_JOBS, "'status':{'conditions':[{'type':'FailureTarget','status':'True'},{'type':'Failed','status':'False'}]}",
		"x | FailureTarget | 0/1 |  | 5d |  |  | <none>" },
	{ COR_RES_JOBS, GOING "'status':{'conditions':[{'type':'Suspended','status':'True'}]}",
		"x | Terminating | 0/1 |  | <unknown> |  |  | <none>" },
	{ COR_RES_CRONJOBS, "'spec':{'schedule':'*/5 * * * *','suspend':false,'jobTemplate':{'spec':{" TEMPLATE "}}},'status':"
		"{'active':[{},{}],'lastScheduleTime':'2026-01-06T03:00:00Z'}",
		"x | */5 * * * * | <none> | False | 2 | 4m5s | 5d | a,b | i:1,j | <none>" },
	{ COR_RES_CRONJOBS, "'spec':{'schedule':'@daily','timeZone':'Europe/Berlin'}",
		"x | @daily | Europe/Berlin | <unset> | 0 | <none> | 5d |  |  | <none>" },
	{ COR_RES_HORIZONTALPODAUTOSCALERS, "'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d'},'maxReplicas':9}",
		"x | Deployment/d | <none> | <unset> | 9 | 0 | 5d" },
	{ COR_RES_HORIZONTALPODAUTOSCALERS, "'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d'},'minReplicas':2,"
		"'maxReplicas':9,'metrics':[{'type':'Resource','resource':{'name':'cpu','target':{'averageUtilization':80}}},"
		"{'type':'Resource','resource':{'name':'memory','target':{'averageValue':'200Mi'}}},{'type':'Pods'}]},"
		"'status':{'currentReplicas':3,'currentMetrics':[{'type':'Resource','resource':{'name':'cpu','current':"
		"{'averageUtilization':30}}},{'type':'Resource','resource':{'name':'memory','current':{'averageValue':"
		"'100Mi'}}}]}", "x | Deployment/d | cpu: 30%/80%, memory: 100Mi/200Mi + 1 more... | 2 | 9 | 3 | 5d" },
	{ COR_RES_HORIZONTALPODAUTOSCALERS, "'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d'},'maxReplicas':9,'metrics':["
		"{'type':'Pods','pods':{'target':{'averageValue':'5'}}},{'type':'External','external':{'target':"
		"{'averageValue':'7'}}}]}", "x | Deployment/d | <unknown>/5, <unknown>/7 (avg) | <unset> | 9 | 0 | 5d" },
	{ COR_RES_HORIZONTALPODAUTOSCALERS_V1, "'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d'},'minReplicas':1,"
		"'maxReplicas':9,'targetCPUUtilizationPercentage':50}", "x | Deployment/d | cpu: <unknown>/50% | 1 | 9 | 0 | 5d" },
	{ COR_RES_PODDISRUPTIONBUDGETS, "'spec':{'minAvailable':'50%'},'status':{'disruptionsAllowed':2}", "x | 50% | N/A | 2 | 5d" },
	{ COR_RES_PODDISRUPTIONBUDGETS, "'spec':{'maxUnavailable':1}", "x | N/A | 1 | 0 | 5d" },
};

#define LB(rest) "'spec':{'type':'LoadBalancer','clusterIPs':['10.96.0.7']" rest "}"

static const struct rule network[] = {
	{ COR_RES_SERVICES, "'spec':{'type':'ClusterIP','clusterIPs':['None'],'ports':[{'port':80,'protocol':'TCP'},{'port':53,"
		"'protocol':'UDP'}],'selector':{'a':'1'}}", "x | ClusterIP | None | <none> | 80/TCP,53/UDP | 5d | a=1" },
	{ COR_RES_SERVICES, "'spec':{'type':'NodePort','clusterIPs':['10.96.0.7'],'externalIPs':['9.9.9.9','8.8.8.8'],'ports':["
		"{'port':80,'nodePort':30080,'protocol':'TCP'}]}",
		"x | NodePort | 10.96.0.7 | 9.9.9.9,8.8.8.8 | 80:30080/TCP | 5d | <none>" },
	{ COR_RES_SERVICES, LB(""), "x | LoadBalancer | 10.96.0.7 | <pending> | <none> | 5d | <none>" },
	{ COR_RES_SERVICES, LB(",'externalIPs':['9.9.9.9']") ",'status':{'loadBalancer':{'ingress':[{'ip':'2.2.2.2'},"
		"{'hostname':'h'},{'ip':'1.1.1.1'},{'ip':'2.2.2.2'}]}}",
		"x | LoadBalancer | 10.96.0.7 | 1.1.1.1,2.2.2.2,h,9.9.9.9 | <none> | 5d | <none>" },
	{ COR_RES_SERVICES, "'spec':{'type':'ExternalName','externalName':'a.b'}",
		"x | ExternalName | <none> | a.b | <none> | 5d | <none>" },
	{ COR_RES_ENDPOINTS, "", "x | <none> | 5d" },
	{ COR_RES_ENDPOINTS, "'subsets':[{'notReadyAddresses':[{'ip':'1.1.1.1'}],'ports':[{'port':80}]}]", "x |  | 5d" },
	{ COR_RES_ENDPOINTS, "'subsets':[{'addresses':[{'ip':'1.1.1.1'},{'ip':'fd00::1'}],'ports':[{'port':80},{'port':81}]}]",
		"x | 1.1.1.1:80,[fd00::1]:80,1.1.1.1:81 + 1 more... | 5d" },
	{ COR_RES_ENDPOINTS, "'subsets':[{'addresses':[{'ip':'1.1.1.1'}]}]", "x | 1.1.1.1 | 5d" },
	{ COR_RES_ENDPOINTSLICES, "'addressType':'IPv4'", "x | IPv4 | <unset> | <unset> | 5d" },
	{ COR_RES_ENDPOINTSLICES, "'addressType':'IPv4','ports':[{'port':80},{'name':'p'},{}],'endpoints':[{'addresses':['1.1.1.1',"
		"'2.2.2.2']},{'addresses':['3.3.3.3']},{'addresses':['4.4.4.4']}]",
		"x | IPv4 | 80,p,* | 1.1.1.1,2.2.2.2,3.3.3.3 + 1 more... | 5d" },
	{ COR_RES_INGRESSES, "", "x | <none> | * |  | 80 | 5d" },
	{ COR_RES_INGRESSES, "'spec':{'ingressClassName':'c','tls':[{}],'rules':[{'host':'a'},{},{'host':'b'}]},'status':"
		"{'loadBalancer':{'ingress':[{'ip':'2.2.2.2'},{'ip':'1.1.1.1'}]}}", "x | c | a,b | 1.1.1.1,2.2.2.2 | 80, 443 | 5d" },
	{ COR_RES_INGRESSES, "'spec':{'rules':[{'host':'a'},{'host':'b'},{'host':'c'},{'host':'d'},{'host':'e'}]}",
		"x | <none> | a,b,c + 2 more... |  | 80 | 5d" },
	{ COR_RES_INGRESSCLASSES, "'spec':{'controller':'e/c'}", "x | e/c | <none> | 5d" },
	{ COR_RES_INGRESSCLASSES, "'metadata':{'name':'x','annotations':{'ingressclass.kubernetes.io/is-default-class':'true'}},"
		"'spec':{'controller':'e/c','parameters':{'apiGroup':'g','kind':'K','name':'n'}}",
		"x (default) | e/c | K.g/n | <unknown>" },
	{ COR_RES_NETWORKPOLICIES, "'spec':{'podSelector':{'matchLabels':{'a':'1'}}}", "x | a=1 | 5d" },
	{ COR_RES_NETWORKPOLICIES, "", "x | <none> | 5d" },
	{ COR_RES_SERVICECIDRS, "'spec':{'cidrs':['10.96.0.0/16','fd00::/112']}", "x | 10.96.0.0/16,fd00::/112 | 5d" },
	{ COR_RES_IPADDRESSES, "'spec':{'parentRef':{'resource':'services','namespace':'ns','name':'s'}}", "x | services/ns/s" },
	{ COR_RES_IPADDRESSES, "'spec':{'parentRef':{'group':'G','resource':'widgets','name':'s'}}", "x | widgets.g/s" },
	{ COR_RES_IPADDRESSES, "", "x | <none>" },
};

#define MODES() "'accessModes':['ReadWriteMany','ReadWriteOnce','ReadOnlyMany','ReadWriteOncePod','ReadWriteOnce']"

static const struct rule storage[] = {
	{ COR_RES_PERSISTENTVOLUMECLAIMS, "'spec':{'storageClassName':'standard','volumeMode':'Filesystem'},'status':{'phase':"
		"'Pending'}", "x | Pending |  |  |  | standard | <unset> | 5d | Filesystem" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, "'spec':{'volumeName':'v','storageClassName':'standard','volumeAttributesClassName':'fast'},"
		"'status':{'phase':'Bound'," MODES() ",'capacity':{'storage':'1Gi'}}",
		"x | Bound | v | 1Gi | RWO,ROX,RWX,RWOP | standard | fast | 5d | <unset>" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, GOING "'status':{'phase':'Bound'}",
		"x | Terminating |  |  |  |  | <unset> | <unknown> | <unset>" },
	{ COR_RES_PERSISTENTVOLUMES, "'spec':{'capacity':{'storage':'1Gi'}," MODES() ",'persistentVolumeReclaimPolicy':'Delete',"
		"'claimRef':{'namespace':'ns','name':'c'},'storageClassName':'standard','volumeMode':'Block'},'status':"
		"{'phase':'Bound'}",
		"x | 1Gi | RWO,ROX,RWX,RWOP | Delete | Bound | ns/c | standard | <unset> |  | 5d | Block" },
	{ COR_RES_PERSISTENTVOLUMES, "'metadata':{'name':'x','annotations':{'volume.beta.kubernetes.io/storage-class':''}},'spec':"
		"{'storageClassName':'standard'},'status':{'phase':'Failed','reason':'why'}",
		"x | 0 |  |  | Failed |  |  | <unset> | why | <unknown> | <unset>" },
	{ COR_RES_STORAGECLASSES, "'metadata':{'name':'x','annotations':{'storageclass.kubernetes.io/is-default-class':'true'}},"
		"'provisioner':'p','reclaimPolicy':'Retain','volumeBindingMode':'WaitForFirstConsumer','allowVolumeExpansion':true",
		"x (default) | p | Retain | WaitForFirstConsumer | true | <unknown>" },
	{ COR_RES_STORAGECLASSES, "'provisioner':'p'", "x | p | Delete | Immediate | false | 5d" },
	{ COR_RES_VOLUMEATTRIBUTESCLASSES, "'driverName':'d'", "x | d | 5d" },
	{ COR_RES_CSINODES, "'spec':{'drivers':[{},{}]}", "x | 2 | 5d" },
	{ COR_RES_CSIDRIVERS, "", "x | true | false | false | <unset> | false | <none> | 5d" },
	{ COR_RES_CSIDRIVERS, "'spec':{'attachRequired':false,'podInfoOnMount':true,'storageCapacity':true,'requiresRepublish':true,"
		"'tokenRequests':[{'audience':'a'},{'audience':'b'}],'volumeLifecycleModes':['Persistent','Ephemeral']}",
		"x | false | true | true | a,b | true | Persistent,Ephemeral | 5d" },
	{ COR_RES_VOLUMEATTACHMENTS, "'spec':{'attacher':'a','nodeName':'n','source':{'persistentVolumeName':'v'}},'status':"
		"{'attached':true}", "x | a | v | n | true | 5d" },
};

#define NODE_INFO                                                                                                      \
	"'nodeInfo':{'kubeletVersion':'v1','osImage':'Debian','kernelVersion':'6.1','architecture':'amd64',"           \
	"'containerRuntimeVersion':'c://1'}"
#define SEEN(at) "2026-01-06T03:0" at "Z"

static const struct rule core[] = {
	{ COR_RES_NODES, "'metadata':{'name':'x','labels':{'node-role.kubernetes.io/worker':'','node-role.kubernetes.io/control-plane':"
		"'','kubernetes.io/role':'worker'}},'status':{'conditions':[{'type':'Ready','status':'True'}],'addresses':["
		"{'type':'Hostname','address':'h'},{'type':'InternalIP','address':'1.1.1.1'},{'type':'InternalIP','address':"
		"'2.2.2.2'}]," NODE_INFO "}",
		"x | Ready | control-plane,worker | <unknown> | v1 | 1.1.1.1 | <none> | Debian | 6.1 (amd64) | c://1" },
	{ COR_RES_NODES, "'spec':{'unschedulable':true},'status':{'conditions':[{'type':'Ready','status':'Unknown'}]}",
		"x | NotReady,SchedulingDisabled | <none> | 5d |  | <none> | <none> | <unknown> | <unknown> | <unknown>" },
	{ COR_RES_NODES, "", "x | Unknown | <none> | 5d |  | <none> | <none> | <unknown> | <unknown> | <unknown>" },
	{ COR_RES_NAMESPACES, "'status':{'phase':'Terminating'}", "x | Terminating | 5d" },
	{ COR_RES_SERVICEACCOUNTS, "", "x | 5d" },
	{ COR_RES_SECRETS, "'type':'Opaque','data':{'a':'','b':''}", "x | Opaque | 2 | 5d" },
	{ COR_RES_CONFIGMAPS, "'data':{'a':''},'binaryData':{'b':''}", "x | 2 | 5d" },
	{ COR_RES_LIMITRANGES, "", "x | 2026-01-01T03:04:05Z" },
	{ COR_RES_EVENTS, "'type':'Warning','reason':'R','message':' m\\n','count':3,'firstTimestamp':'" SEEN("0:05") "',"
		"'lastTimestamp':'" SEEN("3:05") "','involvedObject':{'kind':'Pod','name':'p','fieldPath':'spec.c'},'source':"
		"{'component':'c','host':'h'}", "60s | Warning | R | pod/p | spec.c | c, h | m | 4m | 3 | x" },
	{ COR_RES_EVENTS, "'eventTime':'2026-01-06T03:03:05.000000Z','involvedObject':{'kind':'Node'},'reportingComponent':'c'",
		"60s |  |  | node |  | c |  | 60s | 1 | x" },
	{ COR_RES_EVENTS_EVENTS, "'eventTime':'2026-01-06T03:00:05.000000Z','series':{'count':4,'lastObservedTime':"
		"'2026-01-06T03:04:00.000000Z'},'note':'n','regarding':{'kind':'Pod','name':'p'},'reportingController':'c',"
		"'reportingInstance':'i'", "5s |  |  | pod/p |  | c, i | n | 4m | 4 | x" },
	{ COR_RES_RESOURCEQUOTAS, "'status':{'hard':{'pods':'4','limits.cpu':'2','limits.memory':'1Gi','requests.cpu':'1'},'used':"
		"{'pods':'1','limits.cpu':'500m'}}",
		"x | pods: 1/4, requests.cpu: 0/1 | limits.cpu: 500m/2, limits.memory: 0/1Gi | 5d" },
	{ COR_RES_COMPONENTSTATUSES, "'conditions':[{'type':'Healthy','status':'True','message':'ok'}]", "x | Healthy | ok | " },
	{ COR_RES_COMPONENTSTATUSES, "'conditions':[{'type':'Healthy','status':'False','error':'e'}]", "x | Unhealthy |  | e" },
	{ COR_RES_COMPONENTSTATUSES, "", "x | Unknown |  | " },
	{ COR_RES_LEASES, "'spec':{'holderIdentity':'h'}", "x | h | 5d" },
	{ COR_RES_PRIORITYCLASSES, "'value':-5,'globalDefault':true,'preemptionPolicy':'Never'", "x | -5 | true | 5d | Never" },
	{ COR_RES_RUNTIMECLASSES, "'handler':'h'", "x | h | 5d" },
	{ COR_RES_DEVICECLASSES, "", "x | 5d" },
	{ COR_RES_RESOURCECLAIMTEMPLATES, "", "x | 5d" },
	{ COR_RES_RESOURCECLAIMS, "", "x | pending | 5d" },
	{ COR_RES_RESOURCECLAIMS, "'status':{'allocation':{},'reservedFor':[{}]}", "x | allocated,reserved | 5d" },
	{ COR_RES_RESOURCECLAIMS, GOING "'status':{'allocation':{}}", "x | deleted,allocated | <unknown>" },
	{ COR_RES_RESOURCESLICES, "'spec':{'driver':'d','nodeName':'n','pool':{'name':'p'}}", "x | n | d | p | 5d" },
};

#define BINDS                                                                                                          \
	"'roleRef':{'kind':'ClusterRole','name':'r'},'subjects':[{'kind':'User','name':'u'},{'kind':'ServiceAccount',"  \
	"'namespace':'n','name':'s'},{'kind':'Group','name':'g'},{'kind':'User','name':'v'}]"

static const struct rule guards[] = {
	{ COR_RES_ROLES, "", "x | 2026-01-01T03:04:05Z" },
	{ COR_RES_CLUSTERROLES, "", "x | 2026-01-01T03:04:05Z" },
	{ COR_RES_ROLEBINDINGS, BINDS, "x | ClusterRole/r | 5d | u, v | g | n/s" },
	{ COR_RES_CLUSTERROLEBINDINGS, BINDS, "x | ClusterRole/r | 5d | u, v | g | n/s" },
	{ COR_RES_CERTIFICATESIGNINGREQUESTS, "'spec':{'username':'u'}", "x | 5d | <none> | u | <none> | Pending" },
	{ COR_RES_CERTIFICATESIGNINGREQUESTS, "'spec':{'username':'u','signerName':'s','expirationSeconds':7200},'status':"
		"{'certificate':'YQ==','conditions':[{'type':'Approved'}]}", "x | 5d | s | u | 120m | Approved,Issued" },
	{ COR_RES_CERTIFICATESIGNINGREQUESTS, "'status':{'conditions':[{'type':'Approved'},{'type':'Denied'},{'type':'Failed'}]}",
		"x | 5d | <none> |  | <none> | Denied,Failed" },
	{ COR_RES_MUTATINGWEBHOOKCONFIGURATIONS, "'webhooks':[{},{}]", "x | 2 | 5d" },
	{ COR_RES_VALIDATINGWEBHOOKCONFIGURATIONS, "'webhooks':[{}]", "x | 1 | 5d" },
	{ COR_RES_VALIDATINGADMISSIONPOLICIES, "'spec':{'validations':[{}]}", "x | 1 | <unset> | 5d" },
	{ COR_RES_MUTATINGADMISSIONPOLICIES, "'spec':{'mutations':[{}],'paramKind':{'apiVersion':'v1','kind':'ConfigMap'}}",
		"x | 1 | v1/ConfigMap | 5d" },
	{ COR_RES_VALIDATINGADMISSIONPOLICYBINDINGS, "'spec':{'policyName':'p'}", "x | p | <unset> | 5d" },
	{ COR_RES_VALIDATINGADMISSIONPOLICYBINDINGS, "'spec':{'policyName':'p','paramRef':{'namespace':'n','name':'q'}}",
		"x | p | n/q | 5d" },
	{ COR_RES_MUTATINGADMISSIONPOLICYBINDINGS, "'spec':{'policyName':'p','paramRef':{'name':'q'}}", "x | p | */q | 5d" },
	{ COR_RES_CUSTOMRESOURCEDEFINITIONS, "", "x | 2026-01-01T03:04:05Z" },
	{ COR_RES_APISERVICES, "", "x | Local | Unknown | 5d" },
	{ COR_RES_APISERVICES, "'spec':{'service':{'namespace':'n','name':'s'}},'status':{'conditions':[{'type':'Available','status':"
		"'False','reason':'Why'}]}", "x | n/s | False (Why) | 5d" },
	{ COR_RES_APISERVICES, "'status':{'conditions':[{'type':'Available','status':'True','reason':'Local'}]}",
		"x | Local | True | 5d" },
	{ COR_RES_FLOWSCHEMAS, "'spec':{'priorityLevelConfiguration':{'name':'l'},'matchingPrecedence':7}",
		"x | l | 7 | <none> | 5d | ?" },
	{ COR_RES_FLOWSCHEMAS, "'spec':{'priorityLevelConfiguration':{'name':'l'},'distinguisherMethod':{'type':'ByUser'}},'status':"
		"{'conditions':[{'type':'Dangling','status':'False'}]}", "x | l | 0 | ByUser | 5d | False" },
	{ COR_RES_PRIORITYLEVELCONFIGURATIONS, "'spec':{'type':'Exempt'}", "x | Exempt | <none> | <none> | <none> | <none> | 5d" },
	{ COR_RES_PRIORITYLEVELCONFIGURATIONS, "'spec':{'type':'Limited','limited':{'nominalConcurrencyShares':30,'limitResponse':"
		"{'queuing':{'queues':64,'handSize':6,'queueLengthLimit':50}}}}", "x | Limited | 30 | 64 | 6 | 50 | 5d" },
};

static char *quoted(struct cor_arena *a, const char *object) {
	bool meta = strstr(object, "'metadata'") == object;
	struct cor_str s = cor_arena_printf(a, "{%s%s%s}", meta ? "" : META, meta || !object[0] ? "" : ",", object);
	char *text = cor_arena_cstr(a, s);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	return text;
}

static void *decoded(struct cor_arena *a, enum cor_res res, const char *object) {
	struct cor_decode d = { .arena = a, .strict = true };
	struct cor_err err = { 0 };
	void *obj = NULL;
	if (cor_json_decode_new(cor_resources[res].type, cor_str_c(quoted(a, object)), &obj, &d, &err) < 0 || d.errors.n > 0)
		fail_msg("%s: %s %.*s", object, err.message, d.errors.n > 0 ? (int)d.errors.p[0].n : 0,
			d.errors.n > 0 ? d.errors.p[0].p : "");
	return obj;
}

static const struct cor_node *parsed(struct cor_arena *a, const struct cor_buf *b) {
	struct cor_err err;
	struct cor_node *n = cor_node_parse(a, cor_buf_view(b), NULL, &err);
	if (!n)
		fail_msg("%s: %.*s", err.message, COR_STR_ARG(cor_buf_view(b)));
	return n;
}

static void check(struct cor_arena *a, const struct rule *r) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT, got = COR_BUF_INIT, columns = COR_BUF_INIT;
	cor_time now;
	assert_true(cor_time_parse(COR_STR(NOW), &now));
	void *obj = decoded(a, r->res, r->object);
	assert_int_equal(cor_table_cells(&cor_resources[r->res], obj, now, a, &out), 0);
	assert_true(cor_table_columns(&cor_resources[r->res], &columns));
	const struct cor_node *cells = parsed(a, &out);
	assert_int_equal(cells->items.n, parsed(a, &columns)->items.n);
	for (size_t i = 0; i < cells->items.n; i++) {
		if (i > 0)
			cor_buf_c(&got, " | ");
		if (cells->items.p[i]->kind == COR_NODE_STRING)
			cor_buf_str(&got, cells->items.p[i]->text);
		else
			cor_node_print(&got, cells->items.p[i], 0);
	}
	cor_buf_byte(&got, 0);
	assert_string_equal(cor_buf_view(&got).p, r->row);
}

static void check_all(const struct rule *rules, size_t n) {
	for (size_t i = 0; i < n; i++) {
		struct cor_arena *a = cor_arena_new(0);
		check(a, &rules[i]);
		cor_arena_free(a);
	}
}

static void test_pods(void **state) {
	check_all(pods, cor_countof(pods));
}

static void test_workloads(void **state) {
	check_all(workloads, cor_countof(workloads));
}

static void test_network(void **state) {
	check_all(network, cor_countof(network));
}

static void test_storage(void **state) {
	check_all(storage, cor_countof(storage));
}

static void test_core(void **state) {
	check_all(core, cor_countof(core));
}

static void test_guards(void **state) {
	check_all(guards, cor_countof(guards));
}

static void check_head(enum cor_res res, const char *want) {
	struct cor_arena *a = cor_arena_new(0);
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT, got = COR_BUF_INIT;
	assert_true(cor_table_columns(&cor_resources[res], &out));
	const struct cor_node *columns = parsed(a, &out);
	for (size_t i = 0; i < columns->items.n; i++) {
		const struct cor_node *c = columns->items.p[i];
		struct cor_str name = cor_node_path_str(c, "name"), type = cor_node_path_str(c, "type");
		int64_t priority;
		assert_true(cor_node_path_int(c, "priority", &priority));
		/* The column that kubectl prefixes with the kind. */
		bool named = cor_str_eq_c(name, "Name") || cor_str_eq_c(name, "Attacher");
		assert_true(cor_str_eq_c(cor_node_path_str(c, "format"), named ? "name" : ""));
		assert_true(cor_node_is(cor_node_get_c(c, "description"), COR_NODE_STRING));
		if (i > 0)
			cor_buf_byte(&got, ' ');
		for (size_t k = 0; k < name.n; k++)
			cor_buf_byte(&got, (char)(name.p[k] == ' ' ? '_' : name.p[k]));
		if (priority)
			cor_buf_byte(&got, '*');
		if (!cor_str_eq_c(type, "string"))
			cor_buf_printf(&got, ":%c", type.p[0]);
	}
	cor_buf_byte(&got, 0);
	assert_string_equal(cor_buf_view(&got).p, want);
	cor_arena_free(a);
}

/* No kind is left out: what can be listed has its columns above. */
static void test_columns(void **state) {
	for (int res = 0; res < COR_RES_MAX; res++) {
		bool can_list = cor_resources[res].verbs & COR_VERB_LIST;
		size_t found = 0;
		for (size_t i = 0; i < cor_countof(heads); i++)
			if ((int)heads[i].res == res) {
				check_head(heads[i].res, heads[i].columns);
				found++;
			}
		if (found != can_list)
			fail_msg("%s: %zu lists of columns", cor_resources[res].plural, found);
	}
}

/* What rows[].conditions holds: clients that hide what has ended look there. */
static void test_ended_pods_are_marked(void **state) {
	static const struct {
		const char *phase, *reason;
	} cases[] = { { "Running", NULL }, { "Succeeded", "Succeeded" }, { "Failed", "Failed" } };
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_arena *a = cor_arena_new(0);
		_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
		const char *object = cor_arena_cstr(a, cor_arena_printf(a, "'status':{'phase':'%s'}", cases[i].phase));
		cor_buf_c(&out, "{\"cells\":[]");
		cor_table_row_conditions(&cor_resources[COR_RES_PODS], decoded(a, COR_RES_PODS, object), &out);
		cor_buf_byte(&out, '}');
		const struct cor_node *conditions = cor_node_get_c(parsed(a, &out), "conditions");
		assert_int_equal(conditions != NULL, cases[i].reason != NULL);
		if (conditions) {
			assert_true(cor_str_eq_c(cor_node_path_str(conditions->items.p[0], "type"), "Completed"));
			assert_true(cor_str_eq_c(cor_node_path_str(conditions->items.p[0], "reason"), cases[i].reason));
		}
		cor_arena_free(a);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_workloads),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_storage),
		cmocka_unit_test(test_core),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_ended_pods_are_marked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
