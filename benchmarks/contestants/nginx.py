"""nginx in our place: a pass-through that puts the secret key in, and one that also asks Redis, in one script.

The second is what a gateway that thinks costs at the very least: it knows callers by a hash of their key, counts them
against a limit, writes a record of the submission, and passes it on. It needs nginx and its Lua module from the
distribution's packages. The benchmark installs nothing; it says what is missing.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import redis

from benchmarks.ground import wait_ready
from benchmarks.processes import Bench

PASS_THROUGH: Final = "nginx, header injection only"
WITH_LUA: Final = "nginx + Lua + one EVALSHA"

PACKAGES: Final = ("nginx-light", "libnginx-mod-http-lua")
INSTALL: Final = f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"

COUNT_AND_RECORD: Final = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('EXPIRE', KEYS[1], 60) end
if used > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'state', 'submitting', 'input', ARGV[2])
redis.call('EXPIRE', KEYS[2], 604800)
return used
"""
"""The least of an admission: a limit, and a record that lasts a week. Callers' keys come hashed."""

_LUA: Final = """
      access_by_lua_block {
        local key = ngx.var.http_authorization
        if not key then return ngx.exit(401) end
        ngx.req.read_body()
        local body = ngx.req.get_body_data() or ""
        local rate, record = "rate:" .. ngx.md5(key), "prediction:" .. ngx.var.request_id
        local socket = ngx.socket.tcp()
        if not socket:connect("127.0.0.1", $redis_port) then return ngx.exit(503) end
        local parts = {"EVALSHA", "$sha", "2", rate, record, "1000000000", body}
        local sent = {"*", #parts, "\\r\\n"}
        for _, part in ipairs(parts) do
          sent[#sent + 1] = "$" .. #part .. "\\r\\n" .. part .. "\\r\\n"
        end
        socket:send(sent)
        local answer = socket:receive()
        if not answer then return ngx.exit(503) end
        socket:setkeepalive(60000, 256)
        if answer:sub(1, 1) ~= ":" then return ngx.exit(500) end
        if answer == ":0" then return ngx.exit(429) end
      }
"""

_CONFIGURATION: Final = """
daemon off;
worker_processes 1;
$modules
pid $directory/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path $directory/body;
  proxy_temp_path $directory/proxy;
  fastcgi_temp_path $directory/fastcgi;
  scgi_temp_path $directory/scgi;
  uwsgi_temp_path $directory/uwsgi;
  keepalive_requests 1000000000;
  upstream wavespeed { server 127.0.0.1:$upstream_port; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:$port backlog=2048;
    location = /readyz { return 200; }
    location / {
$lua
      proxy_pass http://wavespeed;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer secret";
    }
  }
}
"""


def find() -> str:
    """The nginx there is; "" when there is none. Debian has it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def modules_of(binary: str) -> Path:
    """Where this nginx has its modules, as it says itself."""
    told = subprocess.run([binary, "-V"], stderr=subprocess.PIPE, check=True, text=True).stderr
    found = re.search(r"--modules-path=(\S+)", told)
    return Path(found[1]) if found else Path()


def missing() -> str:
    """What to do for nginx to take part; "" when nothing is missing."""
    binary = find()
    absent = [PACKAGES[0]] if not binary else []
    if not binary or not (modules_of(binary) / "ngx_http_lua_module.so").exists():
        absent.append(PACKAGES[1])
    return f"nginx cannot take part without the packages {', '.join(absent)}: {INSTALL}" if absent else ""


def configuration(directory: Path, port: int, upstream_port: int, modules: Path, lua: str = "") -> str:
    """The file nginx is started with."""
    names = ("ndk_http_module.so", "ngx_http_lua_module.so") if lua else ()
    values = {
        "modules": "\n".join(f"load_module {modules / name};" for name in names),
        "directory": str(directory),
        "port": str(port),
        "upstream_port": str(upstream_port),
        "lua": lua,
    }
    return _filled(_CONFIGURATION, values)


def _filled(text: str, values: dict[str, str]) -> str:
    """A text with `$name` replaced; other dollars stay, nginx and Redis have their own."""
    return re.sub(r"\$([a-z_]+)", lambda found: values.get(found[1], found[0]), text)


def start(bench: Bench, upstream_port: int, redis_url: str = "") -> tuple[subprocess.Popen[bytes], int]:
    """Start one on the measured core, with the script in it if there is a Redis; its process and port."""
    binary, port, lua = find(), bench.port(), ""
    if redis_url:
        with redis.Redis.from_url(redis_url) as client:
            told: str = client.script_load(COUNT_AND_RECORD)
            redis_port: int = client.connection_pool.connection_kwargs["port"]
        lua = _filled(_LUA, {"redis_port": str(redis_port), "sha": told})
    directory = bench.directory / f"nginx-{port}"
    directory.mkdir()
    file = directory / "nginx.conf"
    file.write_text(configuration(directory, port, upstream_port, modules_of(binary), lua))
    process = bench.run([binary, "-p", str(directory), "-c", str(file)])
    wait_ready(port)
    return process, port
