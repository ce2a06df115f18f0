{{/* The service's settings, and what follows from them. */}}

{{/* A value as text. Numbers of a values file arrive as floats, whose large ones would print with an exponent. */}}
{{- define "breakwater.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- . | int64 -}}
{{- else -}}
{{- . | toString -}}
{{- end -}}
{{- end -}}

{{/* One setting: dict with root, name, and the service's own default. */}}
{{- define "breakwater.setting" -}}
{{- $settings := .root.Values.settings | default dict -}}
{{- if hasKey $settings .name -}}
{{- include "breakwater.text" (get $settings .name) -}}
{{- else -}}
{{- .default -}}
{{- end -}}
{{- end -}}

{{- define "breakwater.port" -}}
{{- include "breakwater.setting" (dict "root" . "name" "BREAKWATER_PORT" "default" "8080") -}}
{{- end -}}

{{- define "breakwater.metricsPort" -}}
{{- include "breakwater.setting" (dict "root" . "name" "BREAKWATER_WORKER_METRICS_PORT" "default" "9091") -}}
{{- end -}}

{{/* The gateway answers for the grace, then drains, both by itself: no preStop hook, but as much time as they take. */}}
{{- define "breakwater.gatewayTerminationSeconds" -}}
{{- $grace := include "breakwater.setting" (dict "root" . "name" "BREAKWATER_SHUTDOWN_GRACE_S" "default" "5") | float64 -}}
{{- $drain := include "breakwater.setting" (dict "root" . "name" "BREAKWATER_DRAIN_S" "default" "25") | float64 -}}
{{- addf $grace $drain .Values.terminationMarginSeconds | ceil | int64 -}}
{{- end -}}

{{/* The worker has no grace: it leases nothing more at once. */}}
{{- define "breakwater.workerTerminationSeconds" -}}
{{- $drain := include "breakwater.setting" (dict "root" . "name" "BREAKWATER_DRAIN_S" "default" "25") | float64 -}}
{{- addf $drain .Values.terminationMarginSeconds | ceil | int64 -}}
{{- end -}}

{{- define "breakwater.publicUrl" -}}
{{- with .Values.ingress -}}
{{- if and .enabled .hosts -}}
{{ ternary "https" "http" (not (empty .tls)) }}://{{ first .hosts }}
{{- else -}}
{{- $port := int $.Values.gateway.service.port -}}
http://{{ include "breakwater.fullname" $ }}.{{ $.Release.Namespace }}.svc{{ if ne $port 80 }}:{{ $port }}{{ end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the ConfigMap holds: every setting that is no secret. */}}
{{- define "breakwater.config" -}}
{{- $config := dict -}}
{{- range $name, $value := .Values.settings -}}
{{- $_ := set $config $name (include "breakwater.text" $value) -}}
{{- end -}}
{{- if not (hasKey $config "BREAKWATER_PUBLIC_URL") -}}
{{- $_ := set $config "BREAKWATER_PUBLIC_URL" (include "breakwater.publicUrl" .) -}}
{{- end -}}
{{- if .Values.simulator.enabled -}}
{{- $_ := set $config "BREAKWATER_UPSTREAM_URL" (printf "http://%s-simulator:8081" (include "breakwater.fullname" .)) -}}
{{- end -}}
{{- if .Values.redis.embedded.enabled -}}
{{- $_ := set $config "BREAKWATER_REDIS_URL" (printf "redis://%s-redis:6379/0" (include "breakwater.fullname" .)) -}}
{{- else if .Values.redis.url -}}
{{- $_ := set $config "BREAKWATER_REDIS_URL" .Values.redis.url -}}
{{- end -}}
{{- with .Values.redis.sentinels -}}
{{- $_ := set $config "BREAKWATER_REDIS_SENTINELS" (join "," .) -}}
{{- $_ := set $config "BREAKWATER_REDIS_MASTER" $.Values.redis.master -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
