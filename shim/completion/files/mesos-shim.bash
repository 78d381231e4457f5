# bash completion for mesos-shim, written by scripts/completion.

# Sets COMPREPLY to the lines of stdin that begin with $1.
_mesos_shim_reply() {
  local word cut=''
  while IFS= read -r word; do
    case $word in "$1"*) COMPREPLY+=("$word") ;; esac
  done
  # readline replaces only what follows the last of its word breaks.
  case $COMP_WORDBREAKS:$1 in
  *:*:*:*) cut=${1%"${1##*[=:]}"} ;;
  *=*) cut=${1%"${1##*=}"} ;;
  esac
  [ ${#COMPREPLY[@]} -eq 0 ] || COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}

# The tasks of the agent that the command line names; $1 may be --all.
_mesos_shim_tasks() {
  local i given=()
  for ((i = 2; i < ${#words[@]} - 1; i++)); do
    case ${words[i]} in
    --agent=* | --credentials=*) given+=("${words[i]}") ;;
    --agent | --credentials) given+=("${words[i]}=${words[i + 1]}") ;;
    esac
  done
  "${words[0]}" completion tasks "$@" ${given[@]+"${given[@]}"} 2>/dev/null
}

# Whether option $2 of command $1 takes a value.
_mesos_shim_takes_value() {
  case $2 in
  --*) _mesos_shim_options "$1" | grep -qxF -e "$2=" ;;
  -*) [ -n "$(_mesos_shim_value "$1 $2")" ] ;;
  *) return 1 ;;
  esac
}

_mesos_shim_commands() {
  printf '%s\n' agent dev run certs check ps status logs top events exec kill completion --help --version
}

# The options of command $1; those that take a value end in =.
_mesos_shim_options() {
  case $1 in
  agent) printf '%s\n' --master= --ip= --port= --advertise_ip= --advertise_port= --hostname= --hostname_lookup --no-hostname_lookup --registration_backoff_factor= --authentication_backoff_factor= --credential= --resources= --ports= --attributes= --default_role= --domain= --work_dir= --journal= --zk_session_timeout= --failover_command= --recover= --executor_registration_timeout= --executor_shutdown_grace_period= --executor_reregistration_timeout= --docker_host= --docker_cert_path= --docker_tls_verify --no-docker_tls_verify --engine= --max_inflight= --docker_config= --docker_stop_timeout= --docker_remove_delay= --shim_id= --docker_kill_orphans --no-docker_kill_orphans --sandbox_directory= --default_container_dns= --default_container_info= --pod_image= --cgroups_enable_cfs --no-cgroups_enable_cfs --volume_driver= --volume_driver_options= --fetcher_cache_size= --fetcher_cache_dir= --fetcher_file_root= --triton_unsupported= --triton_pods= --triton_prices= --consul= --consul_register= --consul_checks= --http_credentials= --authenticate_http_readonly --no-authenticate_http_readonly --authenticate_http_readwrite --no-authenticate_http_readwrite --unsafe_exec --no-unsafe_exec --authenticate_http_executors --no-authenticate_http_executors --jwt_secret_key= --metrics_max_tasks= --log_level= --log_format= --help ;;
  dev) printf '%s\n' --ip= --port= --agent_port= --advertise_ip= --advertise_port= --hostname= --hostname_lookup --no-hostname_lookup --registration_backoff_factor= --authentication_backoff_factor= --credential= --resources= --ports= --attributes= --default_role= --domain= --work_dir= --journal= --zk_session_timeout= --failover_command= --recover= --executor_registration_timeout= --executor_shutdown_grace_period= --executor_reregistration_timeout= --docker_host= --docker_cert_path= --docker_tls_verify --no-docker_tls_verify --engine= --max_inflight= --docker_config= --docker_stop_timeout= --docker_remove_delay= --shim_id= --docker_kill_orphans --no-docker_kill_orphans --sandbox_directory= --default_container_dns= --default_container_info= --pod_image= --cgroups_enable_cfs --no-cgroups_enable_cfs --volume_driver= --volume_driver_options= --fetcher_cache_size= --fetcher_cache_dir= --fetcher_file_root= --triton_unsupported= --triton_pods= --triton_prices= --consul= --consul_register= --consul_checks= --http_credentials= --authenticate_http_readonly --no-authenticate_http_readonly --authenticate_http_readwrite --no-authenticate_http_readwrite --unsafe_exec --no-unsafe_exec --authenticate_http_executors --no-authenticate_http_executors --jwt_secret_key= --metrics_max_tasks= --log_level= --log_format= --help ;;
  run) printf '%s\n' --master= --image= --name= --command= --cpus= --mem= --env= --label= --parameter= --instances= --network= --port= --user= --grace= --force-pull --role= --principal= --detach= --follow --help ;;
  certs) printf '%s\n' --account= --key= --url= --out= --key-passphrase-file= --old-style --no-old-style --days= --renew --insecure --help ;;
  check) printf '%s\n' --json --master= --ip= --port= --advertise_ip= --advertise_port= --hostname= --hostname_lookup --no-hostname_lookup --registration_backoff_factor= --authentication_backoff_factor= --credential= --resources= --ports= --attributes= --default_role= --domain= --work_dir= --journal= --zk_session_timeout= --failover_command= --recover= --executor_registration_timeout= --executor_shutdown_grace_period= --executor_reregistration_timeout= --docker_host= --docker_cert_path= --docker_tls_verify --no-docker_tls_verify --engine= --max_inflight= --docker_config= --docker_stop_timeout= --docker_remove_delay= --shim_id= --docker_kill_orphans --no-docker_kill_orphans --sandbox_directory= --default_container_dns= --default_container_info= --pod_image= --cgroups_enable_cfs --no-cgroups_enable_cfs --volume_driver= --volume_driver_options= --fetcher_cache_size= --fetcher_cache_dir= --fetcher_file_root= --triton_unsupported= --triton_pods= --triton_prices= --consul= --consul_register= --consul_checks= --http_credentials= --authenticate_http_readonly --no-authenticate_http_readonly --authenticate_http_readwrite --no-authenticate_http_readwrite --unsafe_exec --no-unsafe_exec --authenticate_http_executors --no-authenticate_http_executors --jwt_secret_key= --metrics_max_tasks= --log_level= --log_format= --help ;;
  ps) printf '%s\n' --agent= --credentials= --json -a --all -q --quiet --help ;;
  status) printf '%s\n' --agent= --credentials= --json --help ;;
  logs) printf '%s\n' --agent= --credentials= --json -f --follow --tail= --stdout --stderr --help ;;
  top) printf '%s\n' --agent= --credentials= --json --interval= --count= --help ;;
  events) printf '%s\n' --agent= --credentials= --json --all --help ;;
  exec) printf '%s\n' --agent= --credentials= --json -i --interactive -t --tty --user= --env= --help ;;
  kill) printf '%s\n' --agent= --credentials= --json --signal= --help ;;
  completion) printf '%s\n' --agent= --credentials= --all --help ;;
  esac
}

# What there is to offer for the value of an option, or for an argument.
_mesos_shim_value() {
  case $1 in
  'agent --credential' | 'agent --work_dir' | 'agent --docker_cert_path' | 'agent --docker_config' | 'agent --fetcher_cache_dir' | 'agent --fetcher_file_root' | 'agent --triton_prices' | 'agent --http_credentials' | 'agent --jwt_secret_key' | 'dev --credential' | 'dev --work_dir' | 'dev --docker_cert_path' | 'dev --docker_config' | 'dev --fetcher_cache_dir' | 'dev --fetcher_file_root' | 'dev --triton_prices' | 'dev --http_credentials' | 'dev --jwt_secret_key' | 'run --detach' | 'certs --key' | 'certs --out' | 'certs --key-passphrase-file' | 'check --credential' | 'check --work_dir' | 'check --docker_cert_path' | 'check --docker_config' | 'check --fetcher_cache_dir' | 'check --fetcher_file_root' | 'check --triton_prices' | 'check --http_credentials' | 'check --jwt_secret_key' | 'ps --credentials' | 'status --credentials' | 'logs --credentials' | 'top --credentials' | 'events --credentials' | 'exec --credentials' | 'kill --credentials' | 'completion --credentials') echo file ;;
  'agent --recover' | 'dev --recover' | 'check --recover') echo 'words reconnect cleanup' ;;
  'agent --engine' | 'dev --engine' | 'check --engine') echo 'words auto docker triton' ;;
  'agent --triton_unsupported' | 'dev --triton_unsupported' | 'check --triton_unsupported') echo 'words refuse warn' ;;
  'agent --triton_pods' | 'dev --triton_pods' | 'check --triton_pods') echo 'words refuse separate' ;;
  'agent --consul_register' | 'dev --consul_register' | 'check --consul_register') echo 'words all labelled none' ;;
  'agent --consul_checks' | 'dev --consul_checks' | 'check --consul_checks') echo 'words mesos consul' ;;
  'agent --log_level' | 'dev --log_level' | 'check --log_level') echo 'words debug info warning error' ;;
  'agent --log_format' | 'dev --log_format' | 'check --log_format') echo 'words text json' ;;
  'ps argument' | 'ps arguments' | 'events argument' | 'events arguments') echo 'words state: task: name: framework: image: pod: address: package: id: message: is:live is:ended is:failed is:healthy is:unhealthy' ;;
  'status argument' | 'logs argument') echo any-task ;;
  'exec argument' | 'kill argument' | 'kill arguments') echo task ;;
  'kill -s' | 'kill --signal') echo 'words TERM KILL HUP INT QUIT USR1 USR2 STOP CONT' ;;
  'completion argument') echo 'words bash zsh fish man tasks' ;;
  esac
}

# Completes the value $3 of the option $2 of command $1, or of an argument.
_mesos_shim_complete_value() {
  local kind rest
  read -r kind rest <<<"$(_mesos_shim_value "$1 $2")"
  case $kind in
  words) _mesos_shim_reply "$3" < <(tr ' ' '\n' <<<"$rest") ;;
  task) _mesos_shim_reply "$3" < <(_mesos_shim_tasks) ;;
  any-task) _mesos_shim_reply "$3" < <(_mesos_shim_tasks --all) ;;
  file)
    compopt -o filenames 2>/dev/null
    while IFS= read -r rest; do
      COMPREPLY+=("$rest")
    done < <(compgen -f -- "$3")
    ;;
  esac
}

_mesos_shim() {
  local line=${COMP_LINE:0:COMP_POINT} words=() command cur before i which=argument
  read -r -a words <<<"$line"
  case $line in *[[:space:]]) words+=('') ;; esac
  command=${words[1]-} cur=${words[${#words[@]} - 1]} before=${words[${#words[@]} - 2]-}
  COMPREPLY=()
  if [ ${#words[@]} -le 2 ]; then
    _mesos_shim_reply "$command" < <(_mesos_shim_commands)
    return
  fi
  for ((i = 2; i < ${#words[@]} - 1; i++)); do
    if _mesos_shim_takes_value "$command" "${words[i]}"; then
      ((i++))
    elif [ "${words[i]#-}" = "${words[i]}" ]; then
      which=arguments
    fi
  done
  case $cur in
  --*=*) _mesos_shim_complete_value "$command" "${cur%%=*}" "${cur#*=}" ;;
  *)
    if _mesos_shim_takes_value "$command" "$before"; then
      _mesos_shim_complete_value "$command" "$before" "$cur"
    elif [ "${cur#-}" != "$cur" ]; then
      _mesos_shim_reply "$cur" < <(_mesos_shim_options "$command")
      case ${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac
    else
      _mesos_shim_complete_value "$command" "$which" "$cur"
    fi
    ;;
  esac
}

complete -F _mesos_shim mesos-shim
