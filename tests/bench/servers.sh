# servers.sh - private servers for comparisons: sourced, never run.
# Wants: $work, a folder of the caller's. Each start_ function sets its port; stop_servers ends both.
# shellcheck shell=bash disable=SC2154

pg_bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
luma_pid='' pg_port='' luma_port=''

free_port()
{
    "${LUMA_PYTHON:-python3}" -c '
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# PostgreSQL refuses to run as root: its own user does it then.
as_postgres()
{
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start_postgres()
{
    local data=$work/postgres
    pg_port=$(free_port)
    mkdir -p "$data"
    chmod 700 "$data"
    [ "$(id -u)" != 0 ] || { chmod 755 "$work" && chown postgres "$data"; }
    as_postgres "$pg_bin/initdb" -D "$data" -U lumadb -E UTF8 --locale=C.UTF-8 -A trust >"$work/initdb.log" || return 1
    cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = ''
shared_buffers = 4GB
work_mem = 256MB
maintenance_work_mem = 1GB
effective_cache_size = 12GB
max_wal_size = 16GB
min_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
effective_io_concurrency = 200
max_parallel_workers_per_gather = 2
jit = off
CONF
    as_postgres "$pg_bin/pg_ctl" -D "$data" -w -l "$data/log" start >/dev/null || return 1
    to_postgres psql -X -q -d postgres -c 'CREATE DATABASE "default"'
}

# start_lumadb [server option]...: the data folder $work/lumadb is kept between starts.
start_lumadb()
{
    local build=${LUMA_BUILD_DIR:-$tree/build} i
    luma_port=$(free_port)
    "$build/lumadb" server --data "$work/lumadb" --conf-dir "$build/conf.d" \
        --set "postgres.port=$luma_port" --set "server.port=$(free_port)" \
        --set "metrics.port=$(free_port)" "$@" >"$work/lumadb.log" 2>&1 &
    luma_pid=$!
    for ((i = 0; i < 200; i++)); do
        to_lumadb psql -X -q -c 'SELECT 1' >/dev/null 2>&1 && return 0
        kill -0 "$luma_pid" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 5 "$work/lumadb.log" >&2
    return 1
}

to_postgres()
{
    PGHOST=127.0.0.1 PGPORT=$pg_port PGUSER=lumadb PGPASSWORD=lumadb PGDATABASE=${PGDATABASE:-default} "$@"
}

to_lumadb()
{
    PGHOST=127.0.0.1 PGPORT=$luma_port PGUSER=lumadb PGPASSWORD=lumadb PGDATABASE=default "$@"
}

stop_lumadb()
{
    [ -n "$luma_pid" ] || return 0
    kill "$luma_pid" 2>/dev/null
    wait "$luma_pid" 2>/dev/null
    luma_pid=''
}

stop_servers()
{
    stop_lumadb
    if [ -f "$work/postgres/postmaster.pid" ]; then
        as_postgres "$pg_bin/pg_ctl" -D "$work/postgres" -m immediate stop >/dev/null 2>&1
    fi
}
