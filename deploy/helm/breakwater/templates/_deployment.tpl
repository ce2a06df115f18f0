{{/* The Deployment of the gateway or of the worker: dict with root, component, values, command, port, replicas (text;
empty: an autoscaler's), terminationSeconds. */}}
{{- define "breakwater.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "breakwater.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "breakwater.labels" . | nindent 4 }}
spec:
  {{- with .replicas }}
  replicas: {{ . }}
  {{- end }}
  revisionHistoryLimit: {{ .root.Values.revisionHistoryLimit }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: {{ .values.maxSurge }}
  selector:
    matchLabels:
      {{- include "breakwater.selector" . | nindent 6 }}
  template:
    metadata:
      annotations:
        kubectl.kubernetes.io/default-container: {{ .component }}
        {{- include "breakwater.podAnnotations" . | nindent 8 }}
      labels:
        {{- include "breakwater.labels" . | nindent 8 }}
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "breakwater.podHead" .root | nindent 6 }}
      terminationGracePeriodSeconds: {{ .terminationSeconds }}
      {{- include "breakwater.placing" . | trim | nindent 6 }}
      containers:
        -
          {{- include "breakwater.container" . | nindent 10 }}
      volumes:
        {{- include "breakwater.volumes" . | nindent 8 }}
{{- end -}}

{{/* The number of replicas a Deployment states: dict with root, component, values, scaled. A scaled one has as many as it
has: left out of an upgrade that turns scaling on, the number would drop to one until the autoscaler looks. */}}
{{- define "breakwater.replicas" -}}
{{- if .scaled -}}
{{- with lookup "apps/v1" "Deployment" .root.Release.Namespace (printf "%s-%s" (include "breakwater.fullname" .root) .component) -}}
{{- int .spec.replicas -}}
{{- end -}}
{{- else -}}
{{- if kindIs "invalid" .values.replicas }}2{{ else }}{{ int .values.replicas }}{{ end -}}
{{- end -}}
{{- end -}}
