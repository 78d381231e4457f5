# shellcheck shell=bash
# Sourced by lib.sh: processes in the background, known by pid files.

# began PID: when it began, in whatever unit; fails for a process that is gone or a zombie.
began() {
  if [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1"
    return
  fi
  local fields
  # The name in brackets may hold blanks and brackets itself.
  fields=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) && [ -n "$fields" ] || return 1
  # shellcheck disable=SC2086  # one word a field
  set -- $fields
  [ "$1" != Z ] && echo "${20}"
}

# A pid alone may be another process's by now: the file also says when ours began.
remember() { echo "$2 $(began "$2")" >"$1"; }

# pid_in FILE: the pid, if that very process is alive.
pid_in() {
  local pid start
  read -r pid start 2>/dev/null <"$1" || return 1
  [ "$(began "$pid")" = "$start" ] && echo "$pid"
}

is_over() { ! pid_in "$1" >/dev/null; }

# spawn PIDFILE LOG COMMAND…: in a session of its own, so that Ctrl-C here does not reach it.
spawn() {
  local file=$1 log=$2 detach=
  shift 2
  ! have setsid || detach=setsid
  $detach nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
  remember "$file" $!
}

# end_process NAME FILE SIGNAL SECONDS: asks, waits, and only then forces.
end_process() {
  local name=$1 file=$2 signal=$3 seconds=$4 pid
  if pid=$(pid_in "$file"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    if ! wait_for "$name (pid $pid) to end" "$seconds" is_over "$file"; then
      kill -s KILL "$pid" 2>/dev/null || true
      wait_for "$name (pid $pid) to be gone" 10 is_over "$file" || return 1
    fi
  fi
  rm -f "$file"
}
