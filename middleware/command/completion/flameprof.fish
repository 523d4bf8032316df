# fish completion for flameprof(1)

set -l none "not __fish_seen_subcommand_from run render diff sign"
set -l run "__fish_seen_subcommand_from run"
set -l draw "__fish_seen_subcommand_from render diff"
set -l sign "__fish_seen_subcommand_from sign"

complete -c flameprof -n $none -f -a run -d "run a script, and draw where its time went"
complete -c flameprof -n $none -f -a render -d "draw a profile"
complete -c flameprof -n $none -f -a diff -d "draw what has changed between two"
complete -c flameprof -n $none -f -a sign -d "print what permits to profile one page"
complete -c flameprof -n $none -f -l version -d "show the version"
complete -c flameprof -l help -d "show the options"

complete -c flameprof -n $run -s o -l output -r -F -d "write to a file, whose ending says the format"
complete -c flameprof -n $run -s i -l interval -x -d "seconds between two samples"
complete -c flameprof -n $run -l clock -x -a "wall cpu offcpu gil" -d "which time the widths are"
complete -c flameprof -n $run -l lines -d "tell a function's lines apart"
complete -c flameprof -n $run -l no-idle -d "leave out what waits for work"
complete -c flameprof -n $run -s t -l title -x -d "what stands above it"
complete -c flameprof -n $run -l no-progress -d "no line on the terminal meanwhile"
complete -c flameprof -n $run -s m -x -d "run a module"
complete -c flameprof -n $run -s c -x -d "run code"

complete -c flameprof -n $draw -s o -l output -r -F -d "write to a file"
complete -c flameprof -n $draw -s f -l format -x -d "of the output" \
    -a "svg html png pdf folded json speedscope pprof gecko"
complete -c flameprof -n $draw -s u -l unit -x -a "microseconds samples" -d "what the numbers count"
complete -c flameprof -n "__fish_seen_subcommand_from diff" -s a -l absolute \
    -d "compare the numbers, not the shares"
complete -c flameprof -n $draw -s t -l title -x -d "what stands above it"
complete -c flameprof -n $draw -l subtitle -x -d "and below that"
complete -c flameprof -n $draw -l inverted -d "with the root at the top"
complete -c flameprof -n $draw -l callers -d "each function by its own time, its callers on it"
complete -c flameprof -n $draw -l colours -x -a "origin file warm" -d "what a hue says"
complete -c flameprof -n $draw -l width -x -d "pixels of the picture without script"
complete -c flameprof -n $draw -l smallest -x -d "narrower frames are not drawn"
complete -c flameprof -n $draw -l scale -x -d "of a PNG"

complete -c flameprof -n $sign -l secret-file -r -F -d "with the secret"
complete -c flameprof -n $sign -l path -x -d "the page's path"
complete -c flameprof -n $sign -l expires -x -d "for how long it is good"
complete -c flameprof -n $sign -l once -d "good for one profile only"
complete -c flameprof -n $sign -l interval-min -x -d "the smallest that may be asked for"
