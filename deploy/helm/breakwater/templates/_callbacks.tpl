{{/* Where callbacks may go, as the network policies and their checks see it. */}}

{{/* The allow-list as the service reads it: JSON with cidrs, which the policy opens by itself, and unopened: names, and
ranges that hold more than callbacks should reach. */}}
{{- define "breakwater.callbackAllow" -}}
{{- $cidrs := list -}}
{{- $unopened := list -}}
{{- range regexSplit "[,\\s]+" (get (.Values.settings | default dict) "BREAKWATER_CALLBACK_ALLOW" | default "") -1 -}}
{{- $entry := regexReplaceAll "(?i)^http:" . "" -}}
{{- if regexMatch "^[0-9]+([.][0-9]+){3}$" $entry -}}
{{- $entry = printf "%s/32" $entry -}}
{{- else if and (contains ":" $entry) (not (contains "/" $entry)) -}}
{{- $entry = printf "%s/128" $entry -}}
{{- end -}}
{{- if and (contains "/" $entry) (not (include "breakwater.isTooWide" $entry)) -}}
{{- $cidrs = append $cidrs $entry -}}
{{- else if $entry -}}
{{- $unopened = append $unopened $entry -}}
{{- end -}}
{{- end -}}
{{- dict "cidrs" $cidrs "unopened" $unopened | toJson -}}
{{- end -}}

{{/* The CIDRs that callbacks may reach: those of the allow-list, and those of the network policy. As a JSON list. */}}
{{- define "breakwater.callbackCidrs" -}}
{{- $allow := include "breakwater.callbackAllow" . | fromJson -}}
{{- concat $allow.cidrs .Values.networkPolicy.egress.callbacks.cidrs | uniq | toJson -}}
{{- end -}}

{{/* Not empty if a CIDR holds all of the link-local addresses and more: clouds answer with a machine's credentials there.
Of IPv4 the first bits tell, and 169.254 is 10101001 11111110. Of IPv6 it is what is shorter than a /16, the special
addresses from zero on, whose ::ffff:0:0/96 is IPv4 again, and what fd00:ec2::/32 may lie in. */}}
{{- define "breakwater.isTooWide" -}}
{{- $length := splitList "/" . | last | int -}}
{{- if contains ":" . -}}
{{- if or (lt $length 16) (regexMatch "^0*:" .) (and (regexMatch "(?i)^fd00:" .) (lt $length 32)) -}}true{{- end -}}
{{- else -}}
{{- $bits := "" -}}
{{- range splitList "/" . | first | splitList "." -}}
{{- $bits = printf "%s%08b" $bits (int .) -}}
{{- end -}}
{{- if and (lt $length 16) (hasPrefix (trunc $length $bits) "1010100111111110") -}}true{{- end -}}
{{- end -}}
{{- end -}}
