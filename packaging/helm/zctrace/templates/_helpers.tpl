{{/* What the objects are called: the release, with the chart's name where the release does not say it. */}}
{{- define "zctrace.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* By these a DaemonSet knows its pods. They must not change between versions. */}}
{{- define "zctrace.selector" -}}
app.kubernetes.io/name: zctrace
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "zctrace.labels" -}}
{{ include "zctrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "zctrace.probe" -}}
port: metrics
{{- if .Values.tls.secretName }}
# The kubelet does not check the certificate. The health checks need no token.
scheme: HTTPS
{{- end }}
{{- end -}}
