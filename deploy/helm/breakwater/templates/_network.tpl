{{/* Egress rules of the network policies. */}}

{{/* Ports of a rule: a list of numbers, or every TCP port. */}}
{{- define "breakwater.tcpPorts" -}}
{{- range . }}
- {protocol: TCP, port: {{ int . }}}
{{- else }}
- {protocol: TCP}
{{- end }}
{{- end -}}

{{- define "breakwater.egressDns" -}}
{{- with .Values.networkPolicy.egress.dns }}
- to:
    {{- toYaml .to | nindent 4 }}
  ports:
    {{- range .ports }}
    - {protocol: UDP, port: {{ int . }}}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}
{{- end -}}

{{- define "breakwater.egressRedis" -}}
{{- $redis := .Values.networkPolicy.egress.redis }}
{{- if .Values.redis.embedded.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "breakwater.selector" (dict "root" . "component" "redis") | nindent 10 }}
  ports:
    - {protocol: TCP, port: 6379}
{{- else }}
{{- $ports := $redis.ports | default (list (regexFind ":[0-9]+$" (urlParse .Values.redis.url).host | trimPrefix ":" | default "6379")) }}
{{- range .Values.redis.sentinels }}
{{- $ports = append $ports (splitList ":" . | last | int) }}
{{- end }}
{{- $numbers := list }}
{{- range $ports }}{{ $numbers = append $numbers (int .) }}{{ end }}
- to:
    {{- toYaml $redis.to | nindent 4 }}
  ports:
    {{- include "breakwater.tcpPorts" ($numbers | uniq) | trim | nindent 4 }}
{{- end }}
{{- end -}}

{{/* WaveSpeed and its outputs: dict with root, without (CIDRs that stay closed, as link-local and metadata addresses always
do). A block's exceptions have to lie inside it: which do is known of the whole Internet only, so of a narrower one
nothing is taken out. */}}
{{- define "breakwater.egressUpstream" -}}
{{- if .root.Values.simulator.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "breakwater.selector" (dict "root" .root "component" "simulator") | nindent 10 }}
  ports:
    - {protocol: TCP, port: 8081}
{{- else }}
{{- $upstream := .root.Values.networkPolicy.egress.upstream }}
{{- $closed := concat $upstream.except (list "169.254.0.0/16" "fe80::/10" "fd00:ec2::/32") .without | uniq }}
- to:
    {{- range $block := $upstream.cidrs }}
    - ipBlock:
        cidr: {{ $block | quote }}
        {{- if has $block (list "0.0.0.0/0" "::/0") }}
        {{- $v6 := contains ":" $block }}
        {{- $except := list }}
        {{- range $closed }}
        {{- if eq (contains ":" .) $v6 }}{{ $except = append $except . }}{{ end }}
        {{- end }}
        {{- with $except }}
        except:
          {{- range . }}
          - {{ . | quote }}
          {{- end }}
        {{- end }}
        {{- end }}
    {{- end }}
  ports:
    {{- include "breakwater.tcpPorts" $upstream.ports | trim | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "breakwater.egressCallbacks" -}}
{{- $callbacks := .Values.networkPolicy.egress.callbacks }}
{{- $cidrs := include "breakwater.callbackCidrs" . | fromJsonArray }}
{{- if or $cidrs $callbacks.to }}
- to:
    {{- range $cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
    {{- with $callbacks.to }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    {{- include "breakwater.tcpPorts" $callbacks.ports | trim | nindent 4 }}
{{- end }}
{{- end -}}
