# shellcheck shell=bash
# Sourced by start.sh: the demo that needs only the sample's image. It runs `mesos-shim dev` (embedded
# master and agent in one process) and a web task. All files are in .run/PROJECT.

AGENT_SECONDS=60
WEB_SECONDS=60
IMAGE_SECONDS=600
# A longer grace period of a task is cut to this time.
DRAIN_SECONDS=60
FRAMEWORK_SECONDS=60

# The ports that the agent offers; the web task uses one of them.
FIRST_PORT=31000
LAST_PORT=32000

shim() { (cd / && "$VENV/bin/python" -m shim "$@") 9>&-; }
engine_do() { "$VENV/bin/python" "$ROOT/scripts/demo_engine.py" "$@" 9>&-; }

embedded_ports() {
  need_free_port 127.0.0.1 "$MASTER_PORT" "the master" --master-port MASTER_PORT
  need_free_port 127.0.0.1 "$AGENT_PORT" "the agent" --agent-port AGENT_PORT
  need_free_port 0.0.0.0 "$WEB_PORT" "the web task" --web-port WEB_PORT
  if [ "$WEB_PORT" -lt "$FIRST_PORT" ] || [ "$WEB_PORT" -gt "$LAST_PORT" ]; then
    die "--web-port (or WEB_PORT): the agent offers ports $FIRST_PORT to $LAST_PORT, not $WEB_PORT"
  fi
}

# Sets WEB_IMAGE: pulled from a registry, else built from Debian's busybox.
embedded_image() {
  local said
  say "pulling $SAMPLE_IMAGE (at most $IMAGE_SECONDS s)"
  if said=$(limit "$IMAGE_SECONDS" "$VENV/bin/python" "$ROOT/scripts/demo_engine.py" \
    image "$SAMPLE_IMAGE" 9>&- 2>&1); then
    WEB_IMAGE=$(tail -n 1 <<<"$said")
    return
  fi
  say "$SAMPLE_IMAGE is not available ($(tail -n 1 <<<"$said")): building a web server from busybox"
  busybox_is_static || apt_install busybox-static || true
  busybox_is_static || die "no image for the web task: $SAMPLE_IMAGE cannot be pulled, and there is" \
    "no static busybox (Debian: apt-get install busybox-static); or set SAMPLE_IMAGE to an image" \
    "that the engine has and that serves port 80"
  WEB_IMAGE=$(engine_do hello "$(command -v busybox)") || die "could not build the web task's image"
}

agent_is_there() { probe get "http://127.0.0.1:$MASTER_PORT/slaves" slaves.0.id >/dev/null; }
agent_or_end() { agent_is_there || is_over "$(demo_dir)/dev.pid"; }

embedded_master() {
  local dir
  dir=$(demo_dir)
  say "starting the embedded master and the agent (log ${dir#"$ROOT/"}/dev.log)"
  (
    cd /
    spawn "$dir/dev.pid" "$dir/dev.log" "$VENV/bin/python" -m shim dev \
      --port "$MASTER_PORT" --agent_port "$AGENT_PORT" --hostname=127.0.0.1 \
      --work_dir="$dir/work" --shim_id="$(demo_owner)" --ports="[$FIRST_PORT-$LAST_PORT]" \
      --registration_backoff_factor=100ms
  )
  wait_for "the agent to register with the master" "$AGENT_SECONDS" agent_or_end || true
  agent_is_there && return 0
  say "master and agent did not start; the end of their log:"
  tail -n 5 "$dir/dev.log" >&2
  return 1
}

web_answers() { probe get "$WEB" >/dev/null; }

embedded_web() {
  local dir pid
  dir=$(demo_dir)
  say "launching the web task ($WEB_IMAGE) through the master, as any framework would"
  pid=$(shim run --master "127.0.0.1:$MASTER_PORT" --image "$WEB_IMAGE" --name web --mem 64 \
    --port "$WEB_PORT:80" --detach "$dir/web.log") || {
    tail -n 5 "$dir/web.log" >&2
    return 1
  }
  remember "$dir/web.pid" "$pid"
  wait_for "the web task to answer at $WEB" "$WEB_SECONDS" web_answers
}

embedded_start() {
  local dir
  dir=$(demo_dir)
  need_python
  ensure_engine || exit 1
  ensure_venv
  if [ -d "$dir" ]; then
    say "an earlier demo was not stopped: removing what it left"
    embedded_stop
  fi
  embedded_ports
  embedded_image
  mkdir -p "$dir"
  WEB=http://$(engine_do host):$WEB_PORT || exit 1
  MESOS_MASTER=127.0.0.1:$MASTER_PORT
  save_settings embedded MESOS_MASTER MASTER_PORT AGENT_PORT WEB WEB_IMAGE \
    DOCKER_HOST DOCKER_CERT_PATH DOCKER_TLS_VERIFY
  if ! { embedded_master && embedded_web; }; then
    mkdir -p "$RUN/failed"
    cp "$dir"/*.log "$RUN/failed/"
    embedded_stop
    die "the demo did not start; its logs are kept in .run/failed"
  fi
  embedded_summary
}

embedded_summary() {
  # shellcheck disable=SC2153  # start.sh sets PROJECT
  local dir=.run/$PROJECT home=$ROOT/ again project=
  [ "$PWD" != "$ROOT" ] || home=
  again="bash $(quoted "${home}start.sh")"
  [ "$PROJECT" = mesos ] || project=" -p $PROJECT"
  cat <<END

Mesos is running: an embedded master (for trying, not for production) and one agent.

  master     http://127.0.0.1:$MASTER_PORT/
  agent      http://127.0.0.1:$AGENT_PORT/state
  web task   $WEB/

Look          curl $WEB/
              $again status$project
              $again logs$project         (files: ${home}$dir/*.log)
Launch more   $(quoted "${home}.venv/bin/mesos-shim") run --master 127.0.0.1:$MASTER_PORT --image $WEB_IMAGE --name more
Use it        eval "\$(bash $(quoted "${home}env.sh") $PROJECT)"
Stop          $again stop$project
END
}

# The frameworks stop first, so that they see their tasks end. Then the agent kills the remaining
# tasks and leaves. Then containers that still exist are removed.
embedded_stop() {
  local dir left
  dir=$(demo_dir)
  venv_is_whole || ensure_venv
  end_process "the web task's framework" "$dir/web.pid" TERM "$FRAMEWORK_SECONDS"
  end_process "master and agent" "$dir/dev.pid" USR1 "$DRAIN_SECONDS"
  left=$(engine_do clear "$(demo_owner)") ||
    die "the engine did not list the remaining containers; run this again when it answers"
  [ "$left" = 0 ] || say "removed $left remaining containers"
  rm -rf "$dir"
}

embedded_status() {
  echo "master and agent run (pid $(pid_in "$(demo_dir)/dev.pid"))"
  tell "the agent is registered: http://$MESOS_MASTER/slaves" \
    "the agent is NOT registered, see .run/$PROJECT/dev.log" agent_is_there
  tell "the web task answers: $WEB/" "the web task does NOT answer" web_answers
  probe tasks "http://$MESOS_MASTER/tasks"
}

embedded_logs() { tail -n 100 "$@" "$(demo_dir)"/*.log; }
