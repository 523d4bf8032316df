# bash completion for flameprof(1)

# The word after the script, the module or the code of `flameprof run` is theirs.
_flameprof_has_target() {
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -o | --output | -i | --interval | --clock | -t | --title)
                [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
                ((i++))
                ;;
            -m | -c | --) return 0 ;;
            -*) ;;
            *) return 0 ;;
        esac
    done
    return 1
}

_flameprof() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words
    local picture="--output --format --unit --title --subtitle --inverted --callers --colours
        --width --smallest --scale --help"

    COMPREPLY=()
    # bash takes --clock=c apart: --clock, = and c.
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD == 1)); then
        words="run render diff sign --help --version"
    elif [[ ${COMP_WORDS[1]} == run ]] && _flameprof_has_target; then
        return
    else
        case $previous in
            --clock) words="wall cpu offcpu gil" ;;
            -f | --format) words="svg html png pdf folded json speedscope pprof gecko" ;;
            -u | --unit) words="microseconds samples" ;;
            --colours) words="origin file warm" ;;
            -o | --output | --secret-file) return ;;
            -i | --interval | -t | --title | --subtitle | --width | --smallest | --scale | --path | \
                --expires | --interval-min) return ;;
            *)
                [[ $current == -* ]] || return
                case ${COMP_WORDS[1]} in
                    run) words="--output --interval --clock --lines --no-idle --title --no-progress
                        -m -c --help" ;;
                    render) words=$picture ;;
                    diff) words="$picture --absolute" ;;
                    sign) words="--secret-file --path --expires --once --interval-min --help" ;;
                esac
                ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

# Files where there is nothing else.
complete -o bashdefault -o default -F _flameprof flameprof
