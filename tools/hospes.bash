# SPDX-License-Identifier: MIT
# Completion of hospes for bash: verbs, options, the names of LANs and guests.

# Names of LANs: those that are up, and those that have a file.
_hospes_lans() {
	local path
	for path in "${XDG_RUNTIME_DIR:-/run/user/$UID}"/hospes/*/control /run/hospes/*/control; do
		[[ -S $path ]] && path=${path%/control} && echo "${path##*/}"
	done
	for path in "${XDG_CONFIG_HOME:-$HOME/.config}"/hospes/*.lan /etc/hospes/*.lan; do
		[[ -f $path ]] && path=${path##*/} && echo "${path%.lan}"
	done
}

# The first column of the tables that hospes prints is for people; names come from the JSON.
_hospes_guests() {
	hospes ${1:+--lan "$1"} ls --json 2>/dev/null | sed -n '/"guests"/,/"ports"/s/^ *"name": "\([a-z0-9-]*\)".*/\1/p'
}

_hospes() {
	local verbs="run stop up try down restart reload ls ssh connect exec forward ssh-config qemu-args doctor help"
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= lan= i words=
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-l | --lan) lan=${COMP_WORDS[++i]} ;;
		-*) ;;
		*) verb=${verb:-${COMP_WORDS[i]}} ;;
		esac
	done
	if [[ $prev == --lan || ($prev == -l && $verb != ssh) ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_hospes_lans)" -- "$cur")
		return
	fi
	case $verb in
	'') words="$verbs --lan --help --version" ;;
	help) words=$verbs ;;
	up) words="$(_hospes_lans) --dry-run --json --help" ;;
	reload) words="$(_hospes_lans) --dry-run --help" ;;
	try) words="$(_hospes_lans) --confirm --time --dry-run --json --help" ;;
	down | restart) words="$(_hospes_lans) --keep-guests --dry-run --json --help" ;;
	ls) words="$(_hospes_lans) --json --drops --watch --help" ;;
	ssh | connect | stop) words=$(_hospes_guests "$lan") ;;
	doctor)
		words="$(_hospes_guests "$lan") --bridge --probe --json --help"
		[[ $prev != -b && $prev != --bridge ]] || words=$(ip -br link show type bridge 2>/dev/null | sed 's/ .*//')
		;;
	ssh-config) words="--install --remove --help" ;;
	qemu-args) words="--name --port --mem --help" ;;
	run)
		words="mini --name --mem --cpus --publish --detach --snapshot --port --help"
		compopt -o default
		;;
	forward)
		case $prev in
		forward) words="add rm ls --help" ;;
		ls) words=--json ;;
		*) words=$(_hospes_guests "$lan" | sed 's/$/:/') && compopt -o nospace ;;
		esac
		;;
	exec)
		words="--name --help"
		compopt -o default
		[[ $cur == -* ]] || { mapfile -t COMPREPLY < <(compgen -c -- "$cur"); return; }
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _hospes hospes
