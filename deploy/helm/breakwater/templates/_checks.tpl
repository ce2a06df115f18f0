{{/* Contradictions, told in one line each before anything is rendered. */}}
{{- define "breakwater.checks" -}}
{{- $settings := .Values.settings | default dict -}}
{{- $keys := .Values.existingSecret.keys -}}
{{- $redis := .Values.redis -}}
{{- if not .Values.existingSecret.name -}}
{{- fail "existingSecret.name: is required; the Secret holds the WaveSpeed key and the encryption key, see values.yaml" -}}
{{- end -}}
{{- if and (not $redis.url) (not $keys.redisUrl) (not $redis.sentinels) (not $redis.embedded.enabled) -}}
{{- fail "redis: say where it is with redis.url, existingSecret.keys.redisUrl or redis.sentinels" -}}
{{- end -}}
{{- if and $redis.url $keys.redisUrl -}}
{{- fail "redis.url and existingSecret.keys.redisUrl: give one of them" -}}
{{- end -}}
{{- if and $redis.embedded.enabled (or $redis.url $keys.redisUrl $redis.sentinels) -}}
{{- fail "redis.embedded.enabled: there is another Redis in the values; give one of them" -}}
{{- end -}}
{{- if contains "@" $redis.url -}}
{{- fail "redis.url: holds a user or password; put it into the Secret and name its key in existingSecret.keys.redisUrl" -}}
{{- end -}}
{{- if and .Values.check.enabled (or $redis.embedded.enabled .Values.simulator.enabled) -}}
{{- fail "check.enabled: the check runs before redis.embedded and the simulator are there; leave it off with them" -}}
{{- end -}}
{{- if and .Values.simulator.enabled (hasKey $settings "BREAKWATER_UPSTREAM_URL") -}}
{{- fail "simulator.enabled and settings.BREAKWATER_UPSTREAM_URL: give one of them" -}}
{{- end -}}
{{- if eq (get $settings "BREAKWATER_UPSTREAM_WEBHOOKS" | default "off") "on" -}}
{{- if not $keys.signingKey -}}
{{- fail "settings.BREAKWATER_UPSTREAM_WEBHOOKS: \"on\" needs existingSecret.keys.signingKey" -}}
{{- end -}}
{{- if not (or (hasKey $settings "BREAKWATER_PUBLIC_URL") .Values.ingress.enabled) -}}
{{- fail "settings.BREAKWATER_UPSTREAM_WEBHOOKS: \"on\" needs an ingress or settings.BREAKWATER_PUBLIC_URL that WaveSpeed reaches" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: is required with ingress.enabled" -}}
{{- end -}}
{{- range $name := list "models" "tenants" -}}
{{- $file := get $.Values $name -}}
{{- if and $file.content $file.existingConfigMap -}}
{{- fail (printf "%s.content and %s.existingConfigMap: give one of them" $name $name) -}}
{{- end -}}
{{- end -}}
{{- $security := .Values.security -}}
{{- if and (kindIs "invalid" $security.fsGroup) (not (kindIs "invalid" $security.runAsUser)) -}}
{{- fail "security.fsGroup: is null while runAsUser is set; the key file would be readable to root alone" -}}
{{- end -}}
{{- include "breakwater.checkScaling" . -}}
{{- include "breakwater.checkNetwork" . -}}
{{- end -}}

{{- define "breakwater.checkScaling" -}}
{{- $gateway := .Values.gateway -}}
{{- $worker := .Values.worker -}}
{{- if and $gateway.autoscaling.enabled (not (kindIs "invalid" $gateway.replicas)) -}}
{{- fail "gateway.replicas: leave it unset with gateway.autoscaling.enabled" -}}
{{- end -}}
{{- if and $worker.keda.enabled (not (kindIs "invalid" $worker.replicas)) -}}
{{- fail "worker.replicas: leave it unset with worker.keda.enabled" -}}
{{- end -}}
{{- if and $worker.keda.enabled (not $worker.keda.serverAddress) -}}
{{- fail "worker.keda.serverAddress: is required with worker.keda.enabled" -}}
{{- end -}}
{{- if and $worker.keda.enabled (not $worker.keda.matchers) (not .Values.monitoring.monitors.enabled) -}}
{{- fail "worker.keda.matchers: say how Prometheus labels the workers, or set monitoring.monitors.enabled" -}}
{{- end -}}
{{- $fewest := dict "gateway" (ternary $gateway.autoscaling.minReplicas $gateway.replicas $gateway.autoscaling.enabled) "worker" (ternary $worker.keda.minReplicas $worker.replicas $worker.keda.enabled) -}}
{{- $scaled := dict "gateway" $gateway.autoscaling "worker" $worker.keda -}}
{{- range $component, $replicas := $fewest -}}
{{- $values := get $.Values $component -}}
{{- $scaler := get $scaled $component -}}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) -}}
{{- fail (printf "%s: minReplicas is greater than maxReplicas" $component) -}}
{{- end -}}
{{- $replicas = ternary 2 $replicas (kindIs "invalid" $replicas) | int -}}
{{- $out := toString $values.podDisruptionBudget.maxUnavailable -}}
{{- $most := int (trimSuffix "%" $out) -}}
{{- if hasSuffix "%" $out -}}
{{- $most = div (add (mul $most $replicas) 99) 100 -}}{{/* Kubernetes rounds up */}}
{{- end -}}
{{- if and $values.podDisruptionBudget.enabled (gt $replicas 1) (ge (int $most) $replicas) -}}
{{- fail (printf "%s.podDisruptionBudget.maxUnavailable: would let all %d replicas go at once" $component $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "breakwater.checkNetwork" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $egress := .Values.networkPolicy.egress -}}
{{- if and (not $egress.redis.to) (not .Values.redis.embedded.enabled) -}}
{{- fail "networkPolicy.egress.redis.to: is required; say where Redis is, or nothing reaches it" -}}
{{- end -}}
{{- $callbacks := $egress.callbacks -}}
{{- with (include "breakwater.callbackAllow" . | fromJson).unopened -}}
{{- if not (or $callbacks.to $callbacks.cidrs) -}}
{{- fail (printf "networkPolicy.egress.callbacks: no policy is made of %s in settings.BREAKWATER_CALLBACK_ALLOW; say in cidrs or to where those receivers are" (join ", " .)) -}}
{{- end -}}
{{- end -}}
{{- range $callbacks.cidrs -}}
{{- if include "breakwater.isTooWide" . -}}
{{- fail (printf "networkPolicy.egress.callbacks.cidrs: %s holds the addresses where clouds keep credentials; put it into to, as an ipBlock with except" .) -}}
{{- end -}}
{{- end -}}
{{- range $egress.upstream.cidrs -}}
{{- if and (include "breakwater.isTooWide" .) (not (has . (list "0.0.0.0/0" "::/0"))) -}}
{{- fail (printf "networkPolicy.egress.upstream.cidrs: %s holds the addresses where clouds keep credentials; name narrower ones, or 0.0.0.0/0 and ::/0" .) -}}
{{- end -}}
{{- end -}}
{{- $ingress := .Values.networkPolicy.ingress -}}
{{- if and .Values.monitoring.monitors.enabled (not $ingress.monitoringFrom) -}}
{{- fail "networkPolicy.ingress.monitoringFrom: is required with monitoring.monitors.enabled; say where Prometheus is" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (has (toJson $ingress.gatewayFrom) (list "[]" "[{\"podSelector\":{}}]")) -}}
{{- fail "networkPolicy.ingress.gatewayFrom: is required with ingress.enabled; say where the ingress controller is" -}}
{{- end -}}
{{- end -}}
{{- end -}}
