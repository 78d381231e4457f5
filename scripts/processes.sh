# shellcheck shell=bash
# Sourced by lib.sh: processes in the background, known by pid files.

# began PID: the start time in clock ticks. Fails for a missing process or a zombie.
began() {
  if [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1"
    return
  fi
  local fields
  # The name in brackets may itself contain blanks and brackets.
  fields=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) && [ -n "$fields" ] || return 1
  # shellcheck disable=SC2086  # one word a field
  set -- $fields
  [ "$1" != Z ] && echo "${20}"
}

# Another process may get the same pid later, so the file also holds the start time.
remember() { echo "$2 $(began "$2")" >"$1"; }

# pid_in FILE: the pid, if the process that FILE describes is alive.
pid_in() {
  local pid start
  read -r pid start 2>/dev/null <"$1" || return 1
  [ "$(began "$pid")" = "$start" ] && echo "$pid"
}

is_over() { ! pid_in "$1" >/dev/null; }

# spawn PIDFILE LOG COMMAND…: runs COMMAND in its own session, so that Ctrl-C does not end it.
spawn() {
  local file=$1 log=$2 detach=
  shift 2
  ! have setsid || detach=setsid
  $detach nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
  remember "$file" $!
}

# end_process NAME FILE SIGNAL SECONDS: sends SIGNAL, waits, then sends SIGKILL.
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
