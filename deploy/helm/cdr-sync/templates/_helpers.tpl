{{/* The release's name; with the chart's, if it does not hold that already. */}}
{{- define "cdr-sync.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "cdr-sync.selector" -}}
app.kubernetes.io/name: cdr-sync
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cdr-sync.labels" -}}
{{ include "cdr-sync.selector" . }}
app.kubernetes.io/part-of: cdr-sync
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "cdr-sync.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "cdr-sync.secret-missing" -}}
existingSecret must name a Secret in this namespace. Create it, and name it:
  kubectl --namespace {{ .Release.Namespace }} create secret generic cdr-sync --from-file=database-url=./database-url --from-file=voicenter-code=./voicenter-code
  helm … --set existingSecret=cdr-sync
{{- end -}}
