{{/* What the pods of gateway, worker and check have in common. */}}

{{/* The security context of every pod: dict with root. */}}
{{- define "breakwater.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.security }}
{{- if not (kindIs "invalid" .runAsUser) }}
runAsUser: {{ int64 .runAsUser }}
{{- end }}
{{- if not (kindIs "invalid" .runAsGroup) }}
runAsGroup: {{ int64 .runAsGroup }}
{{- end }}
{{- if not (kindIs "invalid" .fsGroup) }}
fsGroup: {{ int64 .fsGroup }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "breakwater.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The head of every pod's spec. Service links stay off: of a Service named breakwater they would make a variable
BREAKWATER_PORT that is no port. */}}
{{- define "breakwater.podHead" -}}
serviceAccountName: {{ include "breakwater.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "breakwater.podSecurity" . | nindent 2 }}
{{- end -}}

{{/* Where pods of gateway and worker go: dict with root, component, values. */}}
{{- define "breakwater.placing" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- with .values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "breakwater.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{- define "breakwater.probes" -}}
{{- range $kind, $path := dict "startup" "/livez" "liveness" "/livez" "readiness" "/readyz" }}
{{ $kind }}Probe:
  httpGet: {path: {{ $path }}, port: http}
  {{- toYaml (get $.values.probes $kind) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What must come from the Secret by environment: dict with root, component. */}}
{{- define "breakwater.env" -}}
{{- $secret := .root.Values.existingSecret -}}
{{- $wanted := list (list "BREAKWATER_ENCRYPTION_KEY" $secret.keys.encryptionKey) -}}
{{- $wanted = append $wanted (list "BREAKWATER_SIGNING_KEY" $secret.keys.signingKey) -}}
{{- $wanted = append $wanted (list "BREAKWATER_REDIS_URL" $secret.keys.redisUrl) -}}
{{- if ne .component "worker" -}}
{{- $wanted = append $wanted (list "BREAKWATER_ADMIN_TOKEN" $secret.keys.adminToken) -}}
{{- end -}}
{{- range $wanted }}
{{- if last . }}
- name: {{ first . }}
  valueFrom:
    secretKeyRef: {name: {{ $secret.name }}, key: {{ last . }}}
{{- end }}
{{- end }}
- name: BREAKWATER_UPSTREAM_KEY_FILE
  value: /etc/breakwater/upstream/{{ $secret.keys.upstreamKey }}
{{- if include "breakwater.fileConfigMap" (dict "context" . "file" "models") }}
- name: BREAKWATER_MODELS_FILE
  value: /etc/breakwater/models/{{ .root.Values.models.key }}
{{- end }}
{{- if and (ne .component "worker") (include "breakwater.fileConfigMap" (dict "context" . "file" "tenants")) }}
- name: BREAKWATER_TENANTS_FILE
  value: /etc/breakwater/tenants/{{ .root.Values.tenants.key }}
{{- end }}
{{- if .root.Values.trust.existingConfigMap }}
- name: SSL_CERT_FILE
  value: /etc/breakwater/trust/{{ .root.Values.trust.key }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The ConfigMap of a file, if there is one: dict with context (root, component), file. The check has its own. */}}
{{- define "breakwater.fileConfigMap" -}}
{{- $root := .context.root -}}
{{- $file := get $root.Values .file -}}
{{- if $file.existingConfigMap -}}
{{- $file.existingConfigMap -}}
{{- else if $file.content -}}
{{- include "breakwater.fullname" $root }}{{ if eq .context.component "check" }}-check{{ end }}-{{ .file -}}
{{- end -}}
{{- end -}}

{{/* Directories, never single files: those are not renewed when a Secret changes. */}}
{{- define "breakwater.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: upstream-key, mountPath: /etc/breakwater/upstream, readOnly: true}
{{- if include "breakwater.fileConfigMap" (dict "context" . "file" "models") }}
- {name: models, mountPath: /etc/breakwater/models, readOnly: true}
{{- end }}
{{- if and (ne .component "worker") (include "breakwater.fileConfigMap" (dict "context" . "file" "tenants")) }}
- {name: tenants, mountPath: /etc/breakwater/tenants, readOnly: true}
{{- end }}
{{- if .root.Values.trust.existingConfigMap }}
- {name: trust, mountPath: /etc/breakwater/trust, readOnly: true}
{{- end }}
{{- end -}}

{{- define "breakwater.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .root.Values.tmpSizeLimit }}}
- name: upstream-key
  secret:
    secretName: {{ .root.Values.existingSecret.name }}
    defaultMode: 0440
    optional: false
    items:
      - {key: {{ .root.Values.existingSecret.keys.upstreamKey }}, path: {{ .root.Values.existingSecret.keys.upstreamKey }}}
{{- with include "breakwater.fileConfigMap" (dict "context" . "file" "models") }}
- name: models
  configMap: {name: {{ . }}}
{{- end }}
{{- if ne .component "worker" }}
{{- with include "breakwater.fileConfigMap" (dict "context" . "file" "tenants") }}
- name: tenants
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- with .root.Values.trust.existingConfigMap }}
- name: trust
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{/* One of our containers: dict with root, component, values, command, port (0: none). */}}
{{- define "breakwater.container" -}}
name: {{ .component }}
image: {{ include "breakwater.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .command }}]
{{- if .port }}
ports:
  - {name: http, containerPort: {{ .port }}, protocol: TCP}
{{- end }}
envFrom:
  - configMapRef: {name: {{ .configMap }}}
env:
  {{- include "breakwater.env" . | trim | nindent 2 }}
securityContext:
  {{- include "breakwater.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  {{- include "breakwater.mounts" . | nindent 2 }}
{{- if .port }}
{{- include "breakwater.probes" . }}
{{- end }}
{{- end -}}

{{/* What makes pods roll: settings and files that are read at start. */}}
{{- define "breakwater.podAnnotations" -}}
checksum/config: {{ include "breakwater.config" .root | sha256sum }}
{{- with .root.Values.models.content }}
checksum/models: {{ sha256sum . }}
{{- end }}
{{- if eq .component "gateway" }}
{{- with .root.Values.tenants.content }}
checksum/tenants: {{ sha256sum . }}
{{- end }}
{{- end }}
{{- with .root.Values.existingSecret.revision }}
breakwater/secret-revision: {{ . | quote }}
{{- end }}
{{- with .values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}
