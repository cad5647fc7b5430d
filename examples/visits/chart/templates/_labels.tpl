{{- define "visits.selector" -}}
app.kubernetes.io/name: visits
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "visits.labels" -}}
{{ include "visits.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
